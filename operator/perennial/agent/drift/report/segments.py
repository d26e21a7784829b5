"""Segments in report.html: one row each, the segment that deviates most first."""

from collections.abc import Sequence
from html import escape

from perennial.agent.text import count, number
from perennial.api.contract.report import CheckReport, SegmentReport, SegmentRows, SegmentsReport

ROWS = 60
"""Most segments of a column in the page, to bound its size; report.json has all."""
_COLUMNS = 3
_CHECKS = 4
_VALUE = 64


def segments_section(reports: Sequence[SegmentsReport]) -> str:
    """Render the section; empty without segments."""
    if not reports:
        return ""
    return f"<h2>Segments</h2>{''.join(_column(report) for report in reports)}"


def worst_of(reports: Sequence[SegmentsReport]) -> tuple[SegmentsReport, SegmentReport] | None:
    """Return the segment that deviates most, with its column; None if none was judged."""
    found = [(report, report.segments[0]) for report in reports if report.segments]
    return min(found, key=lambda item: _order(item[1]), default=None)


def _order(found: SegmentReport) -> tuple[bool, int, float]:
    return (not found.deviates, -len(found.failed), -found.share)


def _column(report: SegmentsReport) -> str:
    why = f'<p class="soft">Not judged: {escape(report.why)}.</p>' if report.why else ""
    return f"<h3>{escape(report.column)}</h3>{why}{_table(report)}{_left(report)}"


def _table(report: SegmentsReport) -> str:
    if not report.segments:
        return '<p class="soft">No value was judged.</p>'
    head = "<tr><th>Value</th><th>Rows</th><th>Columns drifted</th><th>Most drift</th><th>Checks</th><th></th></tr>"
    rows = "".join(_row(segment) for segment in report.segments[:ROWS])
    rest = len(report.segments) - ROWS
    more = f'<p class="soft">{count(rest, "further segment")} in report.json.</p>' if rest > 0 else ""
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>{more}'


def _row(segment: SegmentReport) -> str:
    state = '<span class="bad">deviates</span>' if segment.deviates else '<span class="good">alike</span>'
    rows = (
        "–"
        if segment.reference_rows is None or segment.current_rows is None
        else f"{segment.current_rows:,} now, {segment.reference_rows:,} before"
    )
    drifted = (
        "not compared" if segment.drifted is None else f"{segment.drifted_features:,} of {segment.compared_features:,}"
    )
    worst = "<br>".join(
        escape(f"{item.name}: {item.method} {number(item.score)} (threshold {number(item.threshold)})")
        for item in segment.features[:_COLUMNS]
    )
    failed_first = sorted(segment.checks, key=lambda check: (not check.failed, check.value is not None))
    checks = "<br>".join(_check(check) for check in failed_first[:_CHECKS])
    return (
        f"<tr><td>{escape(segment.value[:_VALUE])}</td><td>{rows}</td><td>{drifted}</td><td>{worst or '–'}</td>"
        f"<td>{checks or '–'}</td><td>{state}</td></tr>"
    )


def _check(check: CheckReport) -> str:
    name = f"{check.metric}{f' of {check.subject}' if check.subject else ''}"
    if check.value is None:
        return escape(f"{name}: not evaluated, {check.why or 'no value'}"[:200])
    colour = "bad" if check.failed else "good"
    limit = f", required {check.limit}" if check.limit else ""
    return f'<span class="{colour}">{escape(f"{name} {number(check.value)}{limit}")}</span>'


def _left(report: SegmentsReport) -> str:
    told = [
        f"{title}: {', '.join(_rows(item) for item in items)}"
        for title, items in (
            ("Only in the current data", report.only_current),
            ("Only in the reference", report.only_reference),
            ("Too few rows", report.too_few),
        )
        if items
    ]
    if report.not_judged:
        told.append(f"{count(report.not_judged, 'value')} not judged, {count(report.not_judged_rows, 'current row')}")
    if report.without_value:
        told.append(f"{count(report.without_value, 'current row')} without a value")
    return "".join(f'<p class="soft">{escape(text)}.</p>' for text in told)


def _rows(item: SegmentRows) -> str:
    before, now = ("under 10" if rows is None else f"{rows:,}" for rows in (item.reference, item.current))
    return f"{item.value[:_VALUE]} ({now} now, {before} before)"
