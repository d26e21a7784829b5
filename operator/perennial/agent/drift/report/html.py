"""Renders report.html: a single file without scripts. All text from the data is escaped."""

from html import escape

from perennial.agent.drift.report.checks import checks_section
from perennial.agent.drift.report.page import page
from perennial.agent.drift.report.plot import key, plot
from perennial.agent.drift.report.segments import segments_section
from perennial.agent.drift.report.summary import states_of, summary
from perennial.agent.drift.report.trend import changes_section, column_trend
from perennial.agent.text import count, number, percent
from perennial.api.contract.report import ColumnHistory, ColumnSide, DriftReport, FeatureReport, NumberSummary
from perennial.api.driftmonitor.status import p_value_text

PLOTS = 200
"""Maximum number of columns with a plot, to bound the size of the page."""

_METHODS = {
    "psi": "PSI",
    "ks": "Kolmogorov–Smirnov test",
    "js": "Jensen–Shannon distance",
    "wasserstein": "Wasserstein distance in standard deviations",
    "chi2": "Chi-square test",
    "hellinger": "Hellinger distance",
    "linf": "Largest difference (L-infinity)",
    "linf-robust": "Largest difference, corrected for sample size",
    "missing": "Difference in the share of missing values",
    "auc": "Classifier that tells current rows from those of the reference",
}


_STATISTICS = {"ks": "D", "chi2": "χ²", "auc": "area under the ROC curve"}
"""Symbol or name of each test's statistic."""


def render(report: DriftReport) -> str:
    """Render the page."""
    return page(
        f"{report.monitor}: {_headline(report)}",
        _head(report),
        changes_section(report.history),
        _quality(report),
        checks_section(report),
        _predictions(report),
        segments_section(report.segments),
        _columns(report),
        _left_out(report),
        _notes(report),
    )


def _headline(report: DriftReport) -> str:
    verdict = "; ".join(summary(report)).lower()
    return f"{verdict}, {report.drifted_features} of {count(report.compared_features, 'column')} drifted"


def _head(report: DriftReport) -> str:
    states = states_of(report)
    unjudged = None in states.values() or any(check.value is None for check in report.checks)
    bad = report.drifted or any(states.values()) or bool(report.quality_findings)
    colour = "bad" if bad else "unknown" if unjudged else "good"
    first, *others = summary(report)
    model = f"{report.run or 'unknown'} ({(report.digest or 'digest unknown')[:19]})"
    pinned = f" ({report.reference.digest[:19]})" if report.reference.digest else ""
    facts = [
        ("Monitor", f"{report.namespace}/{report.monitor}"),
        ("Deployment", report.deployment),
        ("Training run", model),
        (
            "Reference",
            f"{count(report.reference.rows, 'row')}, {report.reference.description}: {report.reference.uri}{pinned}",
        ),
        ("Current", f"{count(report.current.rows, 'row')}, {report.current.description}: {report.current.uri}"),
        ("Compared", f"{report.time}, job {report.job}"),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
    further = f"<p><strong>{escape('; '.join(others))}.</strong></p>" if others else ""
    return (
        f'<h1 class="{colour}">{escape(first)}</h1>{further}'
        f"<p>{report.drifted_features} of {count(report.compared_features, 'column')} drifted; "
        f"the verdict is drift from a share of {percent(report.share_threshold)}.</p><dl>{listed}</dl>"
    )


def _quality(report: DriftReport) -> str:
    if not report.quality_findings:
        return ""
    items = "".join(f"<li>{escape(finding)}</li>" for finding in report.quality_findings)
    return f'<h2>Data quality</h2><ul class="bad">{items}</ul>'


def _predictions(report: DriftReport) -> str:
    """Render the predictions of both sides, or why they could not be compared."""
    whys = [check.why for check in report.checks if check.check == "predictions" and check.why]
    if not (report.predictions or whys):
        return ""
    cards = "".join(_card(feature, None) for feature in report.predictions)
    told = "".join(f'<p class="soft">Not evaluated: {escape(why)}.</p>' for why in whys)
    return f'<h2>Predictions</h2>{told}<div class="cards">{cards}</div>'


def _columns(report: DriftReport) -> str:
    columns = report.history.columns if report.history else {}
    cards = "".join(_card(feature, columns.get(feature.name)) for feature in report.features[:PLOTS])
    more = "".join(_line(feature) for feature in report.features[PLOTS:])
    rest = (
        '<h2>Further columns</h2><div class="scroll"><table><thead><tr><th>Column</th><th>Score</th>'
        f"<th>Threshold</th><th>What changed</th></tr></thead><tbody>{more}</tbody></table></div>"
        if more
        else ""
    )
    return (
        "<h2>Columns, most drift first</h2>"
        f'<p class="soft">{key("reference")} reference<br>{key("current")} current data</p>'
        f'<div class="cards">{cards}</div>{rest}'
    )


def _card(feature: FeatureReport, history: ColumnHistory | None) -> str:
    state = '<span class="bad">drifted</span>' if feature.drifted else '<span class="good">no drift</span>'
    drawing = plot(feature.name, feature.bars) if feature.bars else ""
    return (
        f'<article class="{"drifted" if feature.drifted else "steady"}"><h3>{escape(feature.name)} · {state}</h3>'
        f"<p>{escape(feature.sentence)}</p>{drawing}"
        f'<p class="soft">{escape(_METHODS.get(feature.method, feature.method))}: {_score(feature)} '
        f"(threshold {number(feature.threshold)})</p>{column_trend(feature.name, history)}"
        f"<details><summary>Figures</summary>{_figures(feature)}"
        f'<p class="soft">{escape(feature.why)}</p></details></article>'
    )


def _score(feature: FeatureReport) -> str:
    """Return a distance, or a test's statistic and p-value, as escaped HTML."""
    if feature.p_value is None:
        return number(feature.score)
    symbol = _STATISTICS.get(feature.method, "statistic")
    return escape(f"{symbol} = {number(feature.statistic)}, {p_value_text(feature.p_value)}")


def _figures(feature: FeatureReport) -> str:
    unusable = "of another length or not finite" if feature.kind == "embedding" else "not numeric"
    rows = [
        ("Rows", f"{feature.reference.rows:,}", f"{feature.current.rows:,}"),
        ("Missing", *(_missing(side, unusable) for side in (feature.reference, feature.current))),
        ("Distinct", f"{feature.reference.distinct:,}", f"{feature.current.distinct:,}"),
        *_number_rows(feature.reference.numbers, feature.current.numbers),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for name, a, b in rows)
    return f"<table><thead><tr><th></th><th>Reference</th><th>Current</th></tr></thead><tbody>{body}</tbody></table>"


def _missing(side: ColumnSide, unusable: str) -> str:
    causes = [
        text
        for amount, text in (
            (side.infinite, f"{side.infinite:,} infinite"),
            (side.unreadable, f"{side.unreadable:,} {unusable}"),
        )
        if amount
    ]
    share = percent(side.missing_share)
    return f"{share} ({', '.join(causes)})" if causes else share


def _number_rows(before: NumberSummary | None, now: NumberSummary | None) -> list[tuple[str, str, str]]:
    names = {
        "mean": "Mean",
        "standard_deviation": "Standard deviation",
        "minimum": "Minimum",
        "first_quartile": "First quartile",
        "median": "Median",
        "third_quartile": "Third quartile",
        "maximum": "Maximum",
    }
    if before is None and now is None:
        return []
    old, new = (side.model_dump() if side else {} for side in (before, now))
    return [(title, number(old[key]) if old else "–", number(new[key]) if new else "–") for key, title in names.items()]


def _line(feature: FeatureReport) -> str:
    return (
        f"<tr><td>{escape(feature.name)}</td><td>{_score(feature)}</td><td>{number(feature.threshold)}</td>"
        f"<td>{escape(feature.sentence)}</td></tr>"
    )


def _left_out(report: DriftReport) -> str:
    if not report.not_compared:
        return ""
    items = "".join(f"<li>{escape(item.name)}: {escape(item.reason)}</li>" for item in report.not_compared)
    return f"<h2>Columns not compared</h2><ul>{items}</ul>"


def _notes(report: DriftReport) -> str:
    if not report.notes:
        return ""
    return f"<h2>Notes</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in report.notes)}</ul>"
