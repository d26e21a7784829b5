"""Renders report.html: a single file without scripts. All text from the data is escaped."""

from dataclasses import dataclass
from html import escape

from perennial.agent.drift.report.checks import checks_section
from perennial.agent.drift.report.model import ColumnSide, DriftReport, FeatureReport, NumberSummary, state_of
from perennial.agent.drift.report.plot import key, plot
from perennial.agent.text import count, number, percent
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
}


@dataclass(frozen=True)
class _Check:
    """A kind of check, as the headline names it."""

    name: str
    failed: str


_CHECKS = {
    "performance": _Check("Performance", "Performance is beyond its limits"),
    "fairness": _Check("Fairness", "Groups are treated differently"),
    "estimated": _Check("Estimated performance", "Estimated performance is beyond its limits"),
}
_STATISTICS = {"ks": "D", "chi2": "χ²"}
"""Symbol of each test's statistic."""

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--text:#1c2430;--soft:#5b6675;--line:#d9dee5;--card:#f7f8fa;
--ref:#9db2cc;--cur:#c2410c;--bad:#b42318;--good:#157347;--unknown:#8a5a00}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--text:#e6eaf0;--soft:#9aa6b5;--line:#313a46;--card:#1a2028;
--ref:#4d6480;--cur:#fb923c;--bad:#ff8a7a;--good:#6fd39b;--unknown:#e0b35a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1rem;background:var(--bg);color:var(--text);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}h3{font-size:1rem;margin:0}
p{margin:.4rem 0}.soft{color:var(--soft)}.bad{color:var(--bad)}.good{color:var(--good)}.unknown{color:var(--unknown)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:.5rem 0}dt{color:var(--soft)}dd{margin:0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));gap:1rem}
article{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.8rem}
article.drifted{border-left:.3rem solid var(--bad)}
.plot{display:block;width:100%;height:auto;margin:.6rem 0}.plot text{font-size:10px;fill:var(--soft)}
.reference{fill:var(--ref)}.current{fill:none;stroke:var(--cur);stroke-width:2}rect.current{fill:var(--cur);stroke:none}
.axis{stroke:var(--line);fill:none}.bar{display:block;width:100%;height:.45rem;margin:1px 0}
table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:left;padding:.15rem .4rem .15rem 0;
vertical-align:top;font-weight:normal}thead th{color:var(--soft)}.bars th{width:30%}.bars td:last-child{width:32%;
white-space:nowrap;color:var(--soft)}.key{display:inline-block;width:1.2em;height:.7em;border-radius:2px}
.scroll{overflow-x:auto}summary{cursor:pointer;color:var(--soft);font-size:.85rem}
"""


def render(report: DriftReport) -> str:
    """Render the page."""
    title = f"{report.monitor}: {_headline(report)}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
        _head(report),
        _quality(report),
        checks_section(report),
        _columns(report),
        _left_out(report),
        _notes(report),
        "</main></body></html>",
    ]
    return "".join(parts)


def _headline(report: DriftReport) -> str:
    verdict = "; ".join(summary(report)).lower()
    return f"{verdict}, {report.drifted_features} of {count(report.compared_features, 'column')} drifted"


def summary(report: DriftReport) -> tuple[str, ...]:
    """Sum up every check, worst first: what was found, then what could not be judged, or that all is well."""
    kinds = [kind for kind in _CHECKS if any(check.check == kind for check in report.checks)]
    states = {kind: state_of(report.checks, kind) for kind in kinds}
    found = [
        *(("The data has drifted",) if report.drifted else ()),
        *(_CHECKS[kind].failed for kind in kinds if states[kind]),
        *((count(len(report.quality_findings), "finding") + " of data quality",) if report.quality_findings else ()),
    ]
    unknown = [f"{_CHECKS[kind].name} not judged" for kind in kinds if states[kind] is None]
    held = [_CHECKS[kind].name for kind in kinds if states[kind] is False]
    fine = [] if report.drifted else ["The data has not drifted"]
    return (*found, *unknown, *(fine if found or unknown else [*fine, *(f"{name} within its limits" for name in held)]))


def _head(report: DriftReport) -> str:
    states = [state_of(report.checks, kind) for kind in _CHECKS]
    unjudged = any(check.value is None for check in report.checks)
    bad = report.drifted or any(states) or bool(report.quality_findings)
    colour = "bad" if bad else "unknown" if unjudged else "good"
    first, *others = summary(report)
    model = f"{report.run or 'unknown'} ({(report.digest or 'digest unknown')[:19]})"
    facts = [
        ("Monitor", f"{report.namespace}/{report.monitor}"),
        ("Deployment", report.deployment),
        ("Training run", model),
        ("Reference", f"{count(report.reference.rows, 'row')}, {report.reference.description}: {report.reference.uri}"),
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


def _columns(report: DriftReport) -> str:
    cards = "".join(_card(feature) for feature in report.features[:PLOTS])
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


def _card(feature: FeatureReport) -> str:
    state = '<span class="bad">drifted</span>' if feature.drifted else '<span class="good">no drift</span>'
    drawing = plot(feature.name, feature.bars) if feature.bars else ""
    return (
        f'<article class="{"drifted" if feature.drifted else "steady"}"><h3>{escape(feature.name)} · {state}</h3>'
        f"<p>{escape(feature.sentence)}</p>{drawing}"
        f'<p class="soft">{escape(_METHODS.get(feature.method, feature.method))}: {_score(feature)} '
        f"(threshold {number(feature.threshold)})</p>"
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
    rows = [
        ("Rows", f"{feature.reference.rows:,}", f"{feature.current.rows:,}"),
        ("Missing", *(_missing(side) for side in (feature.reference, feature.current))),
        ("Distinct", f"{feature.reference.distinct:,}", f"{feature.current.distinct:,}"),
        *_number_rows(feature.reference.numbers, feature.current.numbers),
    ]
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for name, a, b in rows)
    return f"<table><thead><tr><th></th><th>Reference</th><th>Current</th></tr></thead><tbody>{body}</tbody></table>"


def _missing(side: ColumnSide) -> str:
    causes = [
        text
        for amount, text in (
            (side.infinite, f"{side.infinite:,} infinite"),
            (side.unreadable, f"{side.unreadable:,} not numeric"),
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
