import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.agent.drift.verdict import cut, decimal_text, no_verdict, verdict_of
from perennial.api.contract.report import CheckReport, ColumnSide, DriftReport, FeatureReport, Side
from perennial.api.driftmonitor.status import SIGNIFICANCE_TESTS
from perennial.core.termination import parse_message
from perennial.stats.methods import P_VALUES

SIDE = Side(uri="s3://d/x/", description="data", rows=100)
COLUMN = ColumnSide(rows=100, missing=0, missing_share=0, distinct=3)
PATTERN = re.compile(r"^-?[0-9]{1,12}(\.[0-9]{1,10})?$")


def feature(name, score=0.5):
    return FeatureReport(
        name=name, kind="numeric", method="psi", score=score, threshold=0.2, statistic=score, drifted=score >= 0.2,
        badness=score / 0.2, why="why", sentence="What.", reference=COLUMN, current=COLUMN,
    )  # fmt: skip


def report(features, findings=()):
    return DriftReport(
        job="m-1", time="2026-03-10T12:30:00Z", namespace="team", monitor="m", deployment="d", drifted=True,
        drifted_features=len(features), compared_features=len(features), share_threshold=0.5, reference=SIDE,
        current=SIDE, features=tuple(features), quality_findings=tuple(findings),
    )  # fmt: skip


@given(st.floats())
def test_every_number_fits_the_verdicts_pattern(value):
    assert PATTERN.match(decimal_text(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1e-20, "0"),
        (-1e-20, "0"),
        (0.1, "0.1"),
        (1.23456789e-7, "0.0000001235"),
        (0.123456789, "0.123457"),
        (1234567.0, "1234570"),
        (1e300, "999999000000"),
        (float("inf"), "999999000000"),
        (float("nan"), "0"),
    ],
)
def test_numbers_as_text(value, text):
    assert decimal_text(value) == text


@pytest.mark.parametrize("limit", [4096, 2457, 945, 600])
def test_a_verdict_fits_the_bytes_that_the_pod_allows(limit):
    many = report([feature(f"column {index}" * 4) for index in range(30)], ["finding" * 20] * 5)
    message = verdict_of(many, "s3://r/m-1/report.html", limit)
    assert len(message.model_dump_json(by_alias=True, exclude_none=True).encode()) <= limit
    assert (message.drifted, message.drifted_features, message.compared_features) == (True, 30, 30)


def test_the_ten_worst_columns_are_told():
    message = verdict_of(report([feature(f"c{index}") for index in range(30)]), "s3://r/m-1/report.html")
    assert [score.name for score in message.features] == [f"c{index}" for index in range(10)]
    assert message.drifted_features == 30
    assert message.report_uri == "s3://r/m-1/report.html"
    assert parse_message(json.dumps(message.dump())) == message


def test_of_a_test_statistic_and_p_value_are_told_apart():
    tested = feature("age").model_copy(
        update={"method": "ks", "score": 3.21e-14, "p_value": 3.21e-14, "statistic": 0.43, "threshold": 0.001}
    )
    (score,) = verdict_of(report([tested]), None).features
    assert (score.score, score.statistic, score.p_value, score.p) == ("0", "0.43", "3.21e-14", 3.21e-14)
    (distance,) = verdict_of(report([feature("age")]), None).features
    assert (distance.score, distance.statistic, distance.p_value, distance.p) == ("0.5", None, None, None)


def test_the_operator_knows_the_methods_whose_score_is_a_p_value():
    assert SIGNIFICANCE_TESTS == P_VALUES


@given(st.floats(0, 1))
def test_every_p_value_fits_the_status(p_value):
    tested = feature("age").model_copy(update={"method": "ks", "score": p_value, "p_value": p_value})
    message = verdict_of(report([tested]), None)
    assert parse_message(json.dumps(message.dump())) == message


def test_long_names_and_findings_give_way_to_the_size_limit():
    message = verdict_of(
        report([feature("é" * 300 + str(i)) for i in range(20)], ["\u2028" * 500] * 20), "s3://r/" + "x" * 900
    )
    text = json.dumps(message.dump())
    assert len(text.encode()) <= 4096
    assert parse_message(text) == message
    assert len(message.features) >= 1


@given(st.lists(st.text(max_size=400), min_size=1, max_size=12), st.lists(st.text(max_size=400), max_size=8))
def test_whatever_columns_are_called_the_operator_can_read_the_verdict(names, findings):
    message = verdict_of(report([feature(name) for name in names], findings), None)
    assert parse_message(json.dumps(message.dump())) == message


def test_control_characters_do_not_reach_a_status():
    assert cut("a\x1b[31m\nb", 50) == "a?[31m?b"
    assert cut("abcdef", 4) == "abc…"


def test_no_verdict_fits_its_limits():
    message = no_verdict("WindowEmpty", "é\n" * 4000)
    assert parse_message(json.dumps(message.dump(), ensure_ascii=False)) == message


def test_many_checks_fit_and_what_was_decided_stays():
    kinds = ("performance", "estimated", "fairness")
    checks = [
        CheckReport(check=kind, metric="m" * 40, subject="é" * 300, value=0.5, low=0.4, high=0.6, failed=index == 0,
                    limit="x" * 80, rows=10**9, why="é" * 300)
        for kind in kinds for index in range(5)
    ]  # fmt: skip
    whole = report([feature(f"c{index}" * 60) for index in range(30)]).model_copy(update={"checks": tuple(checks)})
    message = verdict_of(whole, "s3://reports/" + "r" * 200)
    assert len(json.dumps(message.dump()).encode()) <= 4096
    assert (message.degraded, message.likely_degraded, message.unfair) == (True, True, True)
    assert message.scores[0].failed
