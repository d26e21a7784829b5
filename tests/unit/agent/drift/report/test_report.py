import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from perennial.agent.drift.report.html import PLOTS, render
from perennial.agent.drift.report.plot import plot
from perennial.agent.drift.report.summary import summary
from perennial.agent.drift.report.text import describe
from perennial.agent.text import count, number, percent
from perennial.api.contract.report import (
    Bars,
    CheckReport,
    ColumnHistory,
    ColumnSide,
    DriftReport,
    FeatureReport,
    HistoryReport,
    NotCompared,
    NumberSummary,
    Side,
)

EVIL = "<script>alert('x')</script>\"&"
RANGES = Bars(edges=(0.0, 1.0, 2.0), reference=(0.25, 0.75), current=(0.5, 0.5))
NAMED = Bars(labels=("a", EVIL), reference=(0.9, 0.1), current=(0.2, 0.8))
VOID = {"meta", "rect", "path", "br"}


def side(mean=None, spread=1.0, missing=0.0, **changes):
    numbers = None if mean is None else NumberSummary(
        mean=mean, standard_deviation=spread, minimum=mean - 3, first_quartile=mean - 1, median=mean,
        third_quartile=mean + 1, maximum=mean + 3,
    )  # fmt: skip
    return ColumnSide(
        **{
            "rows": 100,
            "missing": int(100 * missing),
            "missing_share": missing,
            "distinct": 50,
            "numbers": numbers,
            **changes,
        }
    )


def feature(name="age", bars=RANGES, drifted=True, **changes):
    return FeatureReport(
        **{
            "name": name, "kind": "numeric", "method": "ks", "score": 1e-7, "threshold": 0.001, "statistic": 0.4,
            "p_value": 1e-7,
            "drifted": drifted, "badness": 2.3, "why": "numbers, a test", "sentence": "Values are higher.",
            "reference": side(40), "current": side(48, infinite=1, unreadable=2, missing=0.03), "bars": bars, **changes,
        }
    )  # fmt: skip


def report(*features, **changes):
    return DriftReport(
        **{
            "job": "m-29", "time": "2026-03-10T12:30:00Z", "namespace": "team", "monitor": "churn-drift",
            "deployment": "churn", "run": "churn-3", "digest": "sha256:" + "a" * 64, "drifted": True,
            "drifted_features": 1, "compared_features": len(features), "share_threshold": 0.5,
            "reference": Side(uri="s3://data/train/", description="reference data", rows=1000),
            "current": Side(uri="s3://capture/", description="captured requests", rows=200),
            "features": features, **changes,
        }
    )  # fmt: skip


class Page(HTMLParser):
    """Checks that tags are balanced and remembers them, with the text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(*features, **changes):
    parsed = Page(render(report(*features, **changes)))
    assert parsed.open == []
    return parsed


def test_the_page_stands_alone_and_runs_nothing():
    hostile = {"quality_findings": (EVIL,), "notes": (EVIL,), "monitor": EVIL, "run": EVIL}
    left_out = (NotCompared(name=EVIL, reason=EVIL),)
    names = {tag for tag, _ in page(feature(), feature(EVIL, NAMED), not_compared=left_out, **hostile).tags}
    assert not {"script", "link", "img", "iframe", "object", "form"} & names
    text = render(report(feature(EVIL, NAMED)))
    assert "<script" not in text
    assert not re.search(r'(?:src|href)=|url\(|@import|\son\w+="', text)
    assert "default-src 'none'" in text


def test_the_page_says_what_has_changed_with_a_chart():
    points = ColumnHistory(since="2026-03-08T12:30:00Z", in_a_row=3, points=(0.5, None, 2.0, 1e3))
    past = HistoryReport(
        times=("2026-03-09T12:30:00Z", "2026-03-10T12:30:00Z"), shares=(0.0, 1.0), trend="Rising", trend_windows=9,
        previous="2026-03-09T12:30:00Z", newly_drifted=(EVIL,), recovered=("income",), columns={EVIL: points},
    )  # fmt: skip
    shown = page(feature(EVIL), history=past)
    for words in (
        f"Newly drifted: {EVIL}", "No longer drifted: income", "The comparison before was at 2026-03-09T12:30:00Z.",
        "The share of drifted columns is rising over 9 windows", "Drifted since 2026-03-08T12:30:00Z, 3 comparisons",
    ):  # fmt: skip
        assert words in shown.text
    drawn = [attrs["aria-label"] for tag, attrs in shown.tags if tag == "svg" and attrs.get("class") == "trend"]
    assert drawn == [
        "Share of drifted columns in the last 2 comparisons",
        f"Score of {EVIL} relative to its threshold in the last 3 comparisons",
    ]
    (line,) = re.findall(r'd="(M0 [^"]*M[^"]*)"', render(report(feature(EVIL), history=past)))
    assert line == "M0 28.6M160 24.4L240 2"
    assert "<script" not in render(report(feature(EVIL), history=past))


def test_a_trend_that_is_not_judged_says_so():
    past = HistoryReport(times=("2026-03-10T12:30:00Z",), shares=(0.0,), trend="Unknown", trend_windows=1)
    text = page(feature(), history=past).text
    assert "No earlier comparison of this model is known." in text
    assert "Trend not judged: it needs five windows that do not overlap, and there are 1." in text


def test_the_page_says_what_was_found():
    text = page(feature(), quality_findings=("age: broken",), notes=("2 records skipped.",),
                not_compared=(NotCompared(name="label", reason="only the reference has it"),)).text  # fmt: skip
    for words in (
        "The data has drifted", "1 of 1 column drifted", "Values are higher.", "3% (1 infinite, 2 not numeric)",
        "Kolmogorov–Smirnov test: D = 0.4, p = 1e-07 (threshold 0.001)", "age: broken",
        "label: only the reference has it",
        "2 records skipped.", "churn-3 (sha256:aaaaaaaaaaaa)", "team/churn-drift", "captured requests",
    ):  # fmt: skip
        assert words in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"score": 0.0, "p_value": 0.0}, "Kolmogorov–Smirnov test: D = 0.4, p < 1e-10 (threshold 0.001)"),
        ({"method": "chi2", "statistic": 31.5, "p_value": 0.0002}, "Chi-square test: χ² = 31.5, p = 0.0002 (thresh"),
        ({"method": "psi", "score": 0.31, "threshold": 0.2, "p_value": None}, "PSI: 0.31 (threshold 0.2)"),
    ],
)
def test_a_test_shows_statistic_and_p_value_and_a_distance_itself(changes, told):
    assert told in page(feature(**changes)).text


def test_a_quiet_page():
    text = page(feature(drifted=False), drifted=False, drifted_features=0).text
    assert "The data has not drifted" in text
    assert "age · no drift" in text
    assert "The data itself" not in text


def check(kind, value=0.9, failed=False):
    why = None if value is not None else "no labels"
    return CheckReport(check=kind, metric="accuracy", value=value, low=value, high=value, failed=failed, why=why)


@pytest.mark.parametrize(
    ("checks", "changes", "colour", "told"),
    [
        ((), {}, "good", "The data has not drifted"),
        ((check("fairness"),), {}, "good", "The data has not drifted; Fairness within its limits"),
        ((check("fairness", failed=True),), {}, "bad", "Groups are treated differently; The data has not drifted"),
        ((check("fairness", None),), {}, "unknown", "Fairness not judged; The data has not drifted"),
        ((check("fairness"), check("fairness", None)), {}, "unknown", "Fairness not judged; The data has not drifted"),
        (
            (check("performance", failed=True), check("fairness", None)),
            {"drifted": True},
            "bad",
            "The data has drifted; Performance is beyond its limits; Fairness not judged",
        ),
        (
            (check("performance"),),
            {"quality_findings": ("plan: missing",)},
            "bad",
            "1 finding of data quality; The data has not drifted",
        ),
    ],
)
def test_the_headline_sums_up_every_check(checks, changes, colour, told):
    made = report(feature(drifted=False), **{"drifted": False, "drifted_features": 0, "checks": checks, **changes})
    assert "; ".join(summary(made)) == told
    assert f'<h1 class="{colour}">{told.split("; ")[0]}</h1>' in render(made)


def test_it_is_made_for_phones_and_for_the_dark():
    text = render(report(feature()))
    assert 'name="viewport"' in text
    assert "prefers-color-scheme:dark" in text


def test_columns_keep_the_reports_order_and_the_many_are_a_table():
    features = [feature(f"column{index:04}") for index in range(PLOTS + 50)]
    text = render(report(*features))
    assert [text.index(item.name) for item in features] == sorted(text.index(item.name) for item in features)
    assert text.count("<article") == PLOTS
    assert text.count('class="plot"') == PLOTS
    assert "Further columns" in text


def test_a_hundred_columns_are_far_below_a_megabyte():
    bars = Bars(edges=tuple(range(25)), reference=(1 / 24,) * 24, current=(1 / 24,) * 24)
    assert len(render(report(*(feature(f"c{index}", bars) for index in range(100)))).encode()) < 500_000


def test_plots_are_well_formed_and_drawn_to_scale():
    drawing = ET.fromstring(plot(EVIL, RANGES))  # noqa: S314  our own text
    assert EVIL in drawing.attrib["aria-label"]
    paths = {item.attrib["class"]: item.attrib["d"] for item in drawing.iter("path")}
    assert paths["reference"] == "M0 90V61.3H160V4H320V90Z"
    assert paths["current"] == "M0 90V32.7H160V32.7H320V90"
    rows = ET.fromstring(plot("c", NAMED))  # noqa: S314
    assert [cell.text for cell in rows.iter("th")] == ["a", EVIL]
    assert [float(bar.attrib["width"]) for bar in rows.iter("rect")] == [100, 22.2, 11.1, 88.9]


def test_a_column_that_cannot_be_drawn_has_a_card_without_a_plot():
    text = render(report(feature(bars=None, reference=side(), current=side())))
    assert 'class="plot"' not in text
    assert "Rows" in text


def test_json_is_read_back_and_follows_its_schema():
    original = report(feature(badness=None), feature("b", NAMED))
    text = original.to_json()
    assert DriftReport.model_validate_json(text) == original
    document = json.loads(text)
    assert document["schemaVersion"] == 1
    assert document["features"][0]["reference"]["numbers"]["standardDeviation"] == 1
    described = DriftReport.model_json_schema(by_alias=True)
    assert set(document) <= set(described["properties"])
    assert all("description" in field for field in described["properties"].values())


@pytest.mark.parametrize(
    ("reference", "current", "bars", "drifted", "sentence"),
    [
        (side(40, 8), side(48, 8), RANGES, True,
         "Values are higher: on average 48, before 40 (1 standard deviations)."),
        (side(40, 8), side(20, 8), RANGES, True,
         "Values are lower: on average 20, before 40 (2.5 standard deviations)."),
        (side(40, 8), side(40, 16), RANGES, True,
         "Values spread wider: standard deviation 16, before 8; the average is 40."),
        (side(40, 8), side(40, 4), RANGES, True,
         "Values spread narrower: standard deviation 4, before 8; the average is 40."),
        (side(40, 8), side(40.1, 8), RANGES, False, "No drift: on average 40.1, before 40; median 40.1, before 40."),
        (side(5, 0), side(6, 1), RANGES, True, "Every value was 5, now the average is 6."),
        (side(), side(), NAMED.model_copy(update={"labels": ("a", "b")}), True, "“a” makes up 20%, before 90%."),
        (side(), side(), Bars(labels=("a", "b"), reference=(1, 0), current=(0.4, 0.6)), True,
         "“a” makes up 40%, before 100%."),
        (side(), side(), Bars(labels=("n", "a"), reference=(0, 1), current=(0.6, 0.4)), True,
         "“n” is new and makes up 60%."),
        (side(), side(), Bars(labels=("n", "a"), reference=(0.6, 0.4), current=(0, 1)), True,
         "“n” has vanished; it made up 60%."),
        (side(), side(), Bars(labels=("(others)",), reference=(0.6,), current=(0.5,)), True,
         "The rarer values together make up 50%, before 60%."),
        (side(), side(), None, False, "No drift: the values cannot be drawn."),
    ],
)  # fmt: skip
def test_sentences(reference, current, bars, drifted, sentence):
    assert describe(drifted=drifted, method="ks", reference=reference, current=current, bars=bars) == sentence


def test_a_sentence_about_missing_values():
    sentence = describe(
        drifted=True, method="missing", reference=side(missing=0.02), current=side(missing=1), bars=None
    )
    assert sentence == "2% of the values were missing, now 100%."


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1, "1"), (0.5, "0.5"), (1234.5678, "1,235"), (999.95, "1,000"), (12.3456, "12.35"),
     (0.001234, "0.001234"),
     (0.000123456, "0.0001235"), (1e-7, "1e-07"), (1e12, "1e+12"), (-2.5, "-2.5"), (100.0, "100")],
)  # fmt: skip
def test_numbers_are_readable(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0%"), (1, "100%"), (0.125, "12.5%"), (0.0001, "under 0.1%"), (0.9999, "over 99.9%"), (0.9985, "99.9%")],
)
def test_shares_are_readable_and_honest(share, text):
    assert percent(share) == text


def test_nouns_follow_their_amount():
    assert (count(1, "row"), count(0, "row"), count(12345, "row")) == ("1 row", "0 rows", "12,345 rows")
