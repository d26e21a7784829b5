"""The parts of a model's page. Each is replaced on its own when its text changes."""

from collections.abc import Iterable
from datetime import datetime

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.driftmonitor.status import Verdict
from perennial.api.modeldeployment.gates import GateStatus
from perennial.api.modeldeployment.resource import ModelDeployment
from perennial.api.modeldeployment.revisions import Candidate, HistoryEntry
from perennial.cli.dashboard.drift import Bar, bar, score_text, score_word
from perennial.cli.dashboard.markup import Child, Html, badge, facts, join, table, tag
from perennial.cli.dashboard.stages import Return, Stage, candidate_state, digits
from perennial.cli.loop import GATE_STATES, verdict_findings, verdict_text
from perennial.cli.nodes import State
from perennial.cli.why import Answer
from perennial.cli.words import ago

_CHECKS = {"performance": "performance", "estimated": "estimated performance", "fairness": "fairness"}
_RESULTS: dict[str, State] = {"Promoted": "ok", "Failed": "failed", "RolledBack": "failed", "Superseded": "unknown"}


def picture(found: tuple[Stage, ...], back: Return) -> Html:
    """The loop as a row of boxes, in a column on a phone, with the way back under it."""
    boxes = tag("ol", *(_box(stage) for stage in found), cls="loop")
    way = tag("p", tag("span", "↺", aria_hidden="true"), " ", back.text, cls=f"back{' active' if back.active else ''}")
    return join((boxes, way))


def _box(stage: Stage) -> Html:
    kind = f"stage {stage.state if stage.exists else 'empty'}{' active' if stage.active else ''}"
    return tag(
        "li",
        tag("h3", stage.title),
        badge(stage.state, stage.word) if stage.exists else None,
        tag("p", stage.headline, cls="headline", title=stage.headline),
        facts(stage.facts) if stage.facts else None,
        cls=kind,
        aria_current="step" if stage.active else None,
    )


def causes(answers: Iterable[tuple[State, Answer]]) -> Html | None:
    """First cause and next step of what is not well; None if all is."""
    boxes = tuple(_cause(state, answer) for state, answer in answers if _worth_telling(state, answer))
    return join(boxes) if boxes else None


def _worth_telling(state: State, answer: Answer) -> bool:
    """Work under way explains itself in the picture, unless it waits for something else or pods complain."""
    simple = state == "working" and len(answer.links) == 1 and not answer.links[0].evidence
    return not answer.well and not simple


def _cause(state: State, answer: Answer) -> Html:
    steps = tuple(
        tag(
            "li",
            tag("strong", f"{link.object}: {link.reason}"),
            tag("p", link.message),
            tag("ul", *(tag("li", text) for text in link.evidence), cls="evidence") if link.evidence else None,
        )
        for link in answer.links
    )
    last = answer.links[-1].next_step
    return tag(
        "div",
        tag("ol", *steps, cls="chain"),
        tag("p", tag("strong", "Next: "), last, cls="next") if last else None,
        cls=f"cause {state}",
    )


def rollout(deployment: ModelDeployment, now: datetime) -> Html:
    """The candidate with the steps of its canary and its gates."""
    candidate = deployment.status.candidate
    if candidate is None:
        return tag("p", "No rollout is under way.", cls="quiet")
    state, word = candidate_state(candidate)
    canary = deployment.spec.rollout.strategy == "Canary"
    return join(
        (
            tag("p", badge(state, word), " ", tag("strong", candidate.name), " ", candidate.message, cls="lead"),
            _steps(candidate, tuple(step.weight for step in deployment.spec.rollout.walk)) if canary else None,
            _gates(candidate.gates or (), now),
        )
    )


def _steps(candidate: Candidate, weights: tuple[int, ...]) -> Html:
    """Share of the requests now, and which steps of the canary are behind it."""
    weight = candidate.weight or 0
    reached = candidate.reached_weight
    short = f" {reached} % is reached." if reached is not None and reached != weight else ""
    marks = (
        tag(
            "li",
            f"{step} %",
            tag("span", " now" if step == weight else " passed" if step < weight else " to come", cls="unseen"),
            cls="now" if step == weight else "past" if step < weight else None,
        )
        for step in (*weights, 100)
    )
    return join(
        (
            tag("p", f"The candidate gets {weight} % of the requests, the stable revision {100 - weight} %.{short}"),
            _meter(weight / 100, f"{weight} % of the requests", "split"),
            tag("ol", *marks, cls="steps"),
        )
    )


def _meter(share: float, title: str, kind: str, *, mark: bool = False) -> Html:
    """A bar from 0 to 1 with its title; an SVG, since the page's policy allows no inline styles."""
    full = 200
    shapes = (
        tag("rect", width=full, height=8, cls="track"),
        tag("rect", width=f"{min(max(share, 0.0), 1.0) * full:.1f}", height=8, cls="fill"),
        tag("line", x1=full // 2, x2=full // 2, y1=0, y2=8, cls="limit") if mark else None,
    )
    title_tag = tag("title", title)
    return tag(
        "svg", title_tag, *shapes, viewBox=f"0 0 {full} 8", preserveAspectRatio="none", role="img", cls=f"meter {kind}"
    )


def _gates(gates: tuple[GateStatus, ...], now: datetime) -> Html:
    if not gates:
        return tag("p", "No gate has been judged for this candidate.", cls="quiet")
    rows: Iterable[tuple[Child, ...]] = (
        (
            join(
                (tag("strong", gate.name), tag("span", f" {gate.type}", cls="quiet") if gate.type != gate.name else "")
            ),
            badge(GATE_STATES[gate.verdict], gate.verdict),
            facts((gate.figures or {}).items()) if gate.figures else None,
            gate.message,
            _time(gate.time, now),
        )
        for gate in gates
    )
    return table("Gates of the candidate", ("Gate", "Verdict", "Figures and limits", "Message", "Judged"), rows)


def _time(text: str, now: datetime) -> Html:
    return tag("time", ago(text, now), datetime=text, title=text)


def history(entries: tuple[HistoryEntry, ...], now: datetime) -> Html:
    """Rollouts that have ended, newest first."""
    if not entries:
        return tag("p", "No rollout has ended yet.", cls="quiet")
    rows: Iterable[tuple[Child, ...]] = (
        (
            tag("strong", entry.name),
            badge(_RESULTS[entry.result], entry.result),
            entry.run or digits(entry.digest),
            entry.reason if entry.reason != entry.result else "",
            ", ".join(entry.approval.users) if entry.approval else "",
            _time(entry.time, now),
        )
        for entry in entries
    )
    return table("Rollouts that have ended", ("Revision", "Result", "Model", "Reason", "Approved by", "When"), rows)


def monitor_part(monitor: DriftMonitor, now: datetime) -> Html:
    """The last verdict of one monitor: findings, a bar for each column, checks with limits."""
    status = monitor.status
    last, verdict = status.last_run, status.last_verdict
    silent = last is not None and last.result != "Verdict"
    return join(
        (
            tag("h3", monitor.metadata.name),
            tag(
                "p",
                badge("waiting", "Not judged"),
                " ",
                f"The newest comparison gave no verdict: {last.message or last.reason or 'no reason is recorded'}",
                cls="lead",
            )
            if last is not None and silent
            else None,
            _verdict(verdict, now) if verdict is not None else tag("p", "There is no verdict yet.", cls="quiet"),
        )
    )


def _verdict(verdict: Verdict, now: datetime) -> Html:
    found = bool(verdict_findings(verdict))
    rows = f"{verdict.current_rows} rows against {verdict.reference_rows}, "
    return join(
        (
            tag(
                "p",
                badge("failed" if found else "ok", "Finding" if found else "No finding"),
                " ",
                f"{verdict_text(verdict)}. ",
                tag("span", rows, _time(verdict.time, now), cls="quiet"),
                cls="lead",
            ),
            tag("ul", *(tag("li", text) for text in verdict.quality_findings)) if verdict.quality_findings else None,
            _bars(tuple(bar(feature) for feature in verdict.features)),
            _scores(verdict),
        )
    )


def _bars(bars: tuple[Bar, ...]) -> Html | None:
    if not bars:
        return None
    rows: Iterable[tuple[Child, ...]] = (
        (
            tag("strong", item.name),
            _meter(item.share / 2, f"{item.name}: {item.figure}, {item.limit}", _kind(item), mark=True),
            item.figure,
            item.limit,
            item.method,
            badge("failed" if item.drifted else "ok", "Drifted" if item.drifted else "Not drifted"),
        )
        for item in bars
    )
    heads = ("Column", "Against its threshold", "Score", "Threshold", "Method", "Result")
    return table("Drift of each column; the line marks the threshold", heads, rows)


def _kind(item: Bar) -> str:
    return "drifted" if item.drifted else "calm"


def _scores(verdict: Verdict) -> Html | None:
    if not verdict.scores:
        return None
    rows: Iterable[tuple[Child, ...]] = (
        (
            tag("strong", score.metric),
            _CHECKS[score.check],
            score.subject or "",
            score_text(score),
            score.limit or "",
            badge(*score_word(score)),
        )
        for score in verdict.scores
    )
    heads = ("Metric", "Check", "Groups", "Value (95 % interval)", "Limit", "Result")
    return table("Performance and fairness", heads, rows)
