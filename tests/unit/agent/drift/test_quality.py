import numpy as np
import pytest

from perennial.agent.drift.columns import ColumnPair
from perennial.agent.drift.quality import quality_of
from perennial.api.driftmonitor.checks import ColumnConstraint, QualityCheck
from perennial.stats.samples import Categorical, numeric

AGES = np.arange(1000.0) % 80
PLANS = Categorical({"basic": 700, "plus": 300})


def numbers(reference, current):
    return ColumnPair("numeric", numeric(reference), numeric(current))


def texts(reference, current):
    return ColumnPair("categorical", reference, current)


def asked(**constraint):
    return QualityCheck(columns=(ColumnConstraint(name="c", **constraint),))


SUGGESTED = QualityCheck(suggested=True)
HALF_MISSING = np.where(np.arange(1000) % 2, np.nan, AGES)


@pytest.mark.parametrize(
    ("check", "pair", "finding"),
    [
        (asked(min="0"), numbers(AGES, AGES - 8),
         "c: 10.4% of the values are below 0, the minimum of checks.quality.columns"),
        (asked(max="70"), numbers(AGES, AGES),
         "c: 10.8% of the values are above 70, the maximum of checks.quality.columns"),
        (asked(max="70", tolerance="0.2"), numbers(AGES, AGES), None),
        (asked(min="0", max="79"), numbers(AGES, AGES), None),
        (asked(max_missing="0.1"), numbers(AGES, HALF_MISSING),
         "c: 50% missing; the maximum of checks.quality.columns is 10%"),
        (asked(values=("basic",)), texts(PLANS, PLANS),
         "c: 30% of the values are not among the 1 of checks.quality.columns, such as plus"),
        (SUGGESTED, numbers(AGES, AGES - 8),
         "c: 10.4% of the values are below 0, the minimum of the reference"),
        (SUGGESTED, numbers(AGES - 8, AGES - 9), None),
        (SUGGESTED, numbers(AGES, HALF_MISSING), "c: 50% missing; the maximum of the reference is 1%"),
        (SUGGESTED, texts(PLANS, Categorical({"basic": 90, "gold": 10})),
         "c: 10% of the values are not among the 2 of the reference, such as gold"),
        (SUGGESTED, texts(PLANS, Categorical({"basic": 996, "gold": 4})), None),
        (SUGGESTED, texts(Categorical({"a": 20}), Categorical({"b": 20})), None),  # too few rows to know all
        (None, numbers(AGES, AGES - 8), None),
    ],
)  # fmt: skip
def test_a_breach_is_a_finding_that_names_the_column(check, pair, finding):
    assert quality_of("c", pair, check) == ([finding] if finding else [])


def test_a_rare_value_is_not_named_since_it_may_be_someone():
    (finding,) = quality_of("c", texts(PLANS, Categorical({"basic": 50, "J. Smith": 2})), SUGGESTED)
    assert "Smith" not in finding


@pytest.mark.parametrize(
    ("check", "pair", "few", "enough"),
    [
        (asked(max="78"), numbers(AGES, AGES), "c: some of the values are above 78", "c: 1.2% of the values are"),
        (asked(max_missing="0"), numbers(AGES, np.where(np.arange(1000) < 12, np.nan, AGES)), "c: some missing",
         "c: 1.2% missing"),
        (asked(values=("basic",)), texts(PLANS, Categorical({"basic": 988, "J. Smith": 12})),
         "c: some of the values are not among the 1 of checks.quality.columns", "c: 1.2% of the values are not among"),
    ],
)  # fmt: skip
def test_a_share_of_fewer_rows_than_privacy_asks_for_is_not_told(check, pair, few, enough):
    (hidden,), (told,) = (quality_of("c", pair, check, least) for least in (13, 12))
    assert hidden.startswith(few)
    assert "Smith" not in hidden
    assert told.startswith(enough)


def test_what_is_set_takes_the_place_of_what_is_suggested():
    check = QualityCheck(suggested=True, columns=(ColumnConstraint(name="c", min="-100"),))
    assert quality_of("c", numbers(AGES, AGES - 8), check) == []


def test_nothing_to_look_at_is_no_breach():
    assert quality_of("c", numbers(AGES, np.array([])), asked(min="0", max="1")) == []


def test_what_a_reference_suggests_holds_for_fresh_rows_of_the_same_source():
    random = np.random.default_rng(0)
    for _ in range(50):
        first, second = (random.exponential(1, 2000) for _ in range(2))
        holes = [np.where(random.random(2000) < 0.05, np.nan, side) for side in (first, second)]
        assert quality_of("c", numbers(*holes), SUGGESTED) == []
