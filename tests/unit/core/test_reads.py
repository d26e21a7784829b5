"""What is kept of the answers to a query: when there was one first, and a number last."""

from datetime import timedelta

from perennial.core.reads import Measurement, QueryRead
from tests.support.memory import START

READ = QueryRead("up", 10, window="w")
LATER = START + timedelta(seconds=10)


def test_the_first_answer_and_the_last_number_are_remembered() -> None:
    number = READ.merged(None, Measurement(START, 0.5))
    assert (number.began, number.known) == (START, START)
    gap = READ.merged(number, Measurement(LATER, problem="no data"))
    assert (gap.value, gap.began, gap.known) == (None, START, START)
    assert READ.merged(None, Measurement(LATER, problem="no data")).known is None


def test_the_same_number_again_is_no_news() -> None:
    first = READ.merged(None, Measurement(START, 0.5))
    assert READ.is_news(None, first)
    assert not READ.is_news(first, READ.merged(first, Measurement(LATER, 0.5)))
    assert READ.is_news(first, READ.merged(first, Measurement(LATER, 0.6)))
    assert READ.is_news(first, READ.merged(first, Measurement(LATER, problem="no data")))
