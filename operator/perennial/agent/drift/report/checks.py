"""Performance and fairness sections of report.html."""

from html import escape

from perennial.agent.text import count, number, percent
from perennial.api.contract.report import CheckReport, DriftReport, GroupReport
from perennial.api.driftmonitor.status import p_value_text

_NAMES = {
    "accuracy": "Accuracy",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "logLoss": "Log loss",
    "rocAuc": "ROC AUC",
    "prAuc": "PR AUC (average precision)",
    "brier": "Brier score",
    "calibrationError": "Calibration error",
    "mae": "Mean absolute error",
    "rmse": "Root mean squared error",
    "mape": "Mean absolute percentage error",
    "r2": "R²",
    "ndcg": "NDCG",
    "statisticalParityDifference": "Statistical parity difference",
    "disparateImpact": "Disparate impact",
    "equalOpportunityDifference": "Equal opportunity difference",
    "averageOddsDifference": "Average odds difference",
    "predictiveParityDifference": "Predictive parity difference",
    "demographicParityGap": "Demographic parity, widest gap",
    "demographicParityRatio": "Demographic parity, smallest ratio",
    "equalOpportunityGap": "Equal opportunity, widest gap",
    "equalizedOddsGap": "Equalized odds, widest gap",
    "predictiveParityGap": "Predictive parity, widest gap",
    "classifierAuc": "Classifier of both sides, ROC AUC",
    "reconstructionError": "Error of reconstruction",
}
_RATES = {
    "selection": "Favourable decisions",
    "truePositive": "… of those labelled favourable",
    "falsePositive": "… of those labelled otherwise",
    "precision": "Labelled favourable, of favourable decisions",
}


def checks_section(report: DriftReport) -> str:
    """Render the sections; empty without such checks."""
    if not report.checks:
        return ""
    performance = [check for check in report.checks if check.check == "performance"]
    fairness = [check for check in report.checks if check.check == "fairness"]
    estimated = [check for check in report.checks if check.check == "estimated"]
    together = [check for check in report.checks if check.check == "multivariate"]
    guess = '<p class="soft">Estimated without labels, not measured; the notes say how.</p>'
    return (
        (f"<h2>Performance</h2>{_coverage(report)}{_table(performance)}" if performance else "")
        + (f"<h2>Estimated performance</h2>{guess}{_table(estimated)}" if estimated else "")
        + (f"<h2>Fairness</h2>{_table(fairness)}" if fairness else "")
        + "".join(_groups(check) for check in fairness if check.groups)
        + (f"<h2>All columns together</h2>{_table(together, interval='Probability by chance')}" if together else "")
    )


def _coverage(report: DriftReport) -> str:
    if report.labelled_rows is None or not report.predicted_rows:
        return ""
    share = percent(report.labelled_rows / report.predicted_rows)
    return f'<p class="soft">{share} of {count(report.predicted_rows, "prediction")} have a label.</p>'


def _table(checks: list[CheckReport], interval: str = "95 % interval") -> str:
    head = f"<tr><th>Metric</th><th>Value</th><th>{interval}</th><th>Limit</th><th>Rows</th><th></th></tr>"
    rows = "".join(_row(check) for check in checks)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _row(check: CheckReport) -> str:
    name = _NAMES.get(check.metric, check.metric) + (f" · {check.subject}" if check.subject else "")
    if check.value is None:
        why = f"not evaluated: {check.why or 'no value'}"
        return f'<tr><td>{escape(name)}</td><td colspan="5" class="soft">{escape(why)}</td></tr>'
    before = f", {number(check.reference)} on the reference" if check.reference is not None else ""
    left_out = f" ({check.left_out:,} left out)" if check.left_out else ""
    state = (
        '<span class="bad">beyond the limit</span>' if check.failed else '<span class="good">within the limit</span>'
    )
    return (
        f"<tr><td>{escape(name)}</td><td>{number(check.value)}{before}</td><td>{escape(_spread(check))}</td>"
        f"<td>{escape(check.limit)}</td><td>{check.rows:,}{left_out}</td><td>{state}</td></tr>"
    )


def _spread(check: CheckReport) -> str:
    """Return the interval, or the probability of the value by chance."""
    if check.low is None:
        return "–" if check.p_value is None else p_value_text(check.p_value)
    return f"{number(check.low)} to {'∞' if check.high is None else number(check.high)}"


def _groups(check: CheckReport) -> str:
    known = [name for name in _RATES if any(name in group.rates for group in check.groups)]
    head = "".join(f"<th>{_RATES[name]}</th>" for name in known)
    rows = "".join(_group(group, known) for group in check.groups)
    return (
        f'<details><summary>Groups of {escape(check.subject or "")}</summary><div class="scroll"><table><thead><tr>'
        f"<th>Group</th><th>Rows</th>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _group(group: GroupReport, known: list[str]) -> str:
    cells = "".join(f"<td>{_rate(group, name)}</td>" for name in known)
    return f"<tr><td>{escape(group.group)}</td><td>{group.rows:,}</td>{cells}</tr>"


def _rate(group: GroupReport, name: str) -> str:
    if name not in group.rates:
        return "–"
    value, low, high = group.rates[name]
    return f"{percent(value)} ({percent(low)} to {percent(high)})"
