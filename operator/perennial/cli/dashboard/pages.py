"""The pages: the list of models, one model, and what is shown when something cannot be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from perennial import __version__
from perennial.cli.dashboard import parts, run_parts
from perennial.cli.dashboard.loops import WORDS, Loop, model_loops, state_of, summary
from perennial.cli.dashboard.markup import Child, Html, badge, document, join, table, tag
from perennial.cli.dashboard.source import Seen
from perennial.cli.dashboard.stages import candidate_state, digits, gates_passed, stages, way_back
from perennial.cli.loop import verdict_text
from perennial.cli.nodes import SYMBOLS
from perennial.cli.snapshot import Snapshot
from perennial.cli.why import why
from perennial.cli.words import ago, joined
from perennial.core.kinds import DRIFT_MONITOR, MODEL_DEPLOYMENT, TRAINING_JOB
from perennial.core.times import format_time

_SHORT = {MODEL_DEPLOYMENT.kind: "md", TRAINING_JOB.kind: "tj", DRIFT_MONITOR.kind: "dm"}


@dataclass(frozen=True)
class Part:
    """A section of a page. The browser replaces it when its HTML changes."""

    id: str
    title: str
    body: Html


@dataclass(frozen=True)
class Page:
    """A page before it has a frame. `say` is what a screen reader hears when it changes."""

    title: str
    say: str
    parts: tuple[Part, ...]
    trail: tuple[tuple[str, str], ...] = ()
    status: int = 200


@dataclass(frozen=True)
class Frame:
    """What all pages of one server share: the path under which it answers, and the namespace."""

    base: str
    namespace: str
    own_credentials: bool = False
    now: datetime = field(kw_only=True)


def fleet(seen: Seen, frame: Frame) -> Page:
    """Every model of the namespace as one row."""
    snapshot = seen.snapshot
    title = f"Models in {frame.namespace}"
    if snapshot is None:
        return Page(title, seen.error, (_trouble(seen, frame.now),), status=503)
    loops = model_loops(snapshot)
    attention = sum(summary(loop)[0] == "failed" for loop in loops)
    say = f"{len(loops)} models, {attention} need attention"
    if not loops:
        text = "has no TrainingJob, ModelDeployment or DriftMonitor. A first set is written by "
        body = tag("p", f"Namespace {frame.namespace} {text}", tag("code", "kubectl perennial init"), ".")
    else:
        heads = ("Model", "State", "Serving", "Rollout", "Training", "Verdict")
        body = table(title, heads, (_row(loop, frame) for loop in loops))
    return Page(title, say, (*_banner(seen, frame.now), Part("models", "", body), *_unreadable(snapshot)))


def _row(loop: Loop, frame: Frame) -> tuple[Child, ...]:
    state, text = summary(loop)
    told = tag("span", text, cls="told", title=text) if state != "ok" else None
    link = tag("a", loop.key.name, href=model_path(frame, loop), id=f"to-{_SHORT[loop.key.kind]}-{loop.key.name}")
    return (
        join((link, "" if loop.deployment else tag("span", f" {loop.key.kind}", cls="quiet"))),
        join((badge(state, WORDS[state]), told)),
        _serving_cell(loop),
        _rollout_cell(loop),
        _training_cell(loop, frame.now),
        _verdict_cell(loop, frame.now),
    )


def _serving_cell(loop: Loop) -> Child:
    status = loop.deployment.status if loop.deployment else None
    if status is None or status.stable is None:
        return tag("span", "nothing", cls="quiet")
    model = status.stable.run or digits(status.stable.digest)
    return f"{model}, {status.ready_replicas} of {status.replicas} pods"


def _rollout_cell(loop: Loop) -> Child:
    candidate = loop.deployment.status.candidate if loop.deployment else None
    if candidate is None:
        return tag("span", "none", cls="quiet")
    gates = gates_passed(candidate)
    weight = f"{candidate.weight} %" if candidate.weight is not None else ""
    return joined(candidate_state(candidate)[1], weight, f"gates {gates}" if gates else "")


def _training_cell(loop: Loop, now: datetime) -> Child:
    status = loop.job.status if loop.job else None
    if status is not None and status.current_run is not None:
        return joined(f"{status.current_run.name} {status.phase or 'Running'}")
    if status is None or not status.runs:
        return tag("span", "none", cls="quiet")
    return f"{status.runs[0].name} {status.runs[0].result} {ago(status.runs[0].completion_time, now)}"


def _verdict_cell(loop: Loop, now: datetime) -> Child:
    if not loop.monitors:
        return tag("span", "not watched", cls="quiet")
    verdicts = tuple(verdict for item in loop.monitors if (verdict := item.status.last_verdict) is not None)
    if not verdicts:
        return tag("span", "not judged yet", cls="quiet")
    return tag("span", "; ".join(f"{verdict_text(item)}, {ago(item.time, now)}" for item in verdicts), cls="told")


def model_path(frame: Frame, loop: Loop) -> str:
    """Path of a model's page."""
    return f"{frame.base}/model/{_SHORT[loop.key.kind]}/{quote(loop.key.name, safe='')}"


def model(seen: Seen, frame: Frame, kind: str, name: str, query: Mapping[str, str]) -> Page:
    """One model: the loop as a picture, causes, rollout, verdicts, runs and history."""
    trail = ((f"{frame.base}/", f"Models in {frame.namespace}"),)
    if seen.snapshot is None:
        return Page(name, seen.error, (_trouble(seen, frame.now),), trail, 503)
    wanted = (kind, name)
    found = (loop for loop in model_loops(seen.snapshot) if (_SHORT[loop.key.kind], loop.key.name) == wanted)
    loop = next(found, None)
    if loop is None:
        text = f"Namespace {frame.namespace} has no {kind}/{name}. It may have been deleted, or now belongs to a model."
        return Page(name, text, (*_banner(seen, frame.now), Part("gone", "Not found", tag("p", text))), trail, 404)
    state, text = summary(loop)
    lead = tag("p", badge(state, WORDS[state]), " ", text, cls="lead")
    sections = (
        Part("state", "", lead),
        *_banner(seen, frame.now),
        *_why(loop, seen.snapshot),
        Part("loop", "Loop", parts.picture(stages(loop, frame.now), way_back(loop, frame.now))),
        *_details(loop, frame, query),
    )
    return Page(name, joined(f"{name}: {WORDS[state]}", *_steps(loop, frame.now)), sections, trail)


def _steps(loop: Loop, now: datetime) -> tuple[str, ...]:
    """What is under way, in words that change when it advances and not with each second."""
    told = frozenset({"traffic", "gates"})
    return tuple(
        joined(f"{stage.title} {stage.headline} {stage.word}", *(text for name, text in stage.facts if name in told))
        for stage in stages(loop, now)
        if stage.active
    )


def _why(loop: Loop, snapshot: Snapshot) -> tuple[Part, ...]:
    """Causes, without those that the chain of another resource contains."""
    answers = tuple((state_of(resource)[0], why(key, snapshot)) for key, resource in loop.resources)
    inner = frozenset(link.object for _, answer in answers for link in answer.links[1:])
    body = parts.causes(item for item in answers if item[1].object not in inner)
    return (Part("why", "Why", body),) if body is not None else ()


def _details(loop: Loop, frame: Frame, query: Mapping[str, str]) -> tuple[Part, ...]:
    found: list[Part] = []
    if loop.deployment is not None:
        found.append(Part("rollout", "Rollout", parts.rollout(loop.deployment, frame.now)))
    if loop.monitors:
        found.append(Part("verdicts", "Verdicts", join(parts.monitor_part(item, frame.now) for item in loop.monitors)))
        # Parts of their own: a frame loads anew when it is moved, and verdicts change with the time that is told.
        found += [
            Part(f"reports-{name}", f"Report of {name}", _report(name, item.status.report_uri, frame))
            for item in loop.monitors
            if item.status.report_uri is not None and (name := item.metadata.name)
        ]
    if loop.job is not None:
        found += [
            Part("runs", "Runs", run_parts.run_list(loop.job, frame.now)),
            Part(
                "compare", "Runs side by side", run_parts.side_by_side(loop.job, query.get("left"), query.get("right"))
            ),
        ]
    if loop.deployment is not None:
        found.append(Part("history", "History of rollouts", parts.history(loop.deployment.status.history, frame.now)))
    return tuple(found)


def _report(monitor: str, uri: str, frame: Frame) -> Html:
    """The report in a frame that may run no scripts; without own credentials the command that fetches it by a pod."""
    if not frame.own_credentials:
        command = tag("code", f"kubectl perennial -n {frame.namespace} report {monitor}")
        return tag("p", "The report is read by ", command, ", or here with --own-credentials.", cls="quiet")
    source = f"{frame.base}/report/{quote(monitor, safe='')}?{quote(uri, safe='')}"
    inner = tag("iframe", src=source, sandbox="", loading="lazy", title=f"Report of {monitor}")
    return tag("details", tag("summary", "Show it", id=f"report-{monitor}"), inner, id=f"of-{monitor}")


def _trouble(seen: Seen, now: datetime) -> Part:
    since = f" Last tried {ago(format_time(seen.tried), now)}; the page tries again by itself." if seen.tried else ""
    return Part("trouble", "The cluster cannot be read", tag("p", f"{seen.error}.{since}", role="alert"))


def _banner(seen: Seen, now: datetime) -> tuple[Part, ...]:
    """Say that what follows is old, if the newest reading failed."""
    if not seen.error:
        return ()
    when = ago(format_time(seen.read), now) if seen.read else "earlier"
    text = f"{seen.error}. What follows was read {when}; the page tries again by itself."
    return (Part("trouble", "The cluster cannot be read now", tag("p", text, role="alert")),)


def _unreadable(snapshot: Snapshot) -> tuple[Part, ...]:
    if not snapshot.unreadable:
        return ()
    names = ", ".join(f"{kind.lower()}/{name}" for kind, name in snapshot.unreadable)
    text = f"This release of the plugin cannot read: {names}. kubectl describe shows them."
    return (Part("unreadable", "Not shown", tag("p", text)),)


def refused(base: str, status: int, text: str) -> Page:
    """A page without anything from the cluster."""
    trail = ((f"{base}/", "Models"),) if base else ()
    return Page("Not available", text, (Part("refused", "", tag("p", text)),), trail, status)


def live(page: Page) -> dict[str, object]:
    """What the script needs to bring a page up to date."""
    return {
        "title": page.title,
        "say": page.say,
        "ids": [part.id for part in page.parts],
        "parts": {part.id: section(part) for part in page.parts},
    }


def section(part: Part) -> Html:
    """A part as a section with its heading."""
    heading = tag("h2", part.title, id=f"{part.id}-title") if part.title else None
    label = f"{part.id}-title" if part.title else None
    return tag("section", heading, part.body, id=part.id, data_part=True, aria_labelledby=label)


def framed(page: Page, frame: Frame, live_path: str | None) -> str:
    """A whole page; `live_path` is where its script asks for changes."""
    static = f"{frame.base}/static"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{page.title} – Perennial"),
        tag("link", rel="icon", href=f"{static}/icon.svg"),
        tag("link", rel="stylesheet", href=f"{static}/dashboard.css"),
        tag("script", src=f"{static}/dashboard.js", defer=True) if live_path else None,
    )
    trail = tuple(tag("a", name, href=path, cls="trail") for path, name in page.trail)
    header = tag(
        "header",
        tag(
            "a",
            tag("span", SYMBOLS["working"][0], aria_hidden="true"),
            " Perennial",
            href=f"{frame.base}/",
            cls="brand",
        ),
        tag("span", f"namespace {frame.namespace}", cls="quiet"),
        tag("span", "", id="link", role="status"),
    )
    main = tag(
        "main",
        tag("nav", *trail, aria_label="Breadcrumb") if trail else None,
        tag("h1", page.title),
        tag("div", *(section(part) for part in page.parts), id="parts"),
        id="main",
        tabindex=-1,
    )
    body = tag(
        "body",
        tag("a", "Skip to content", href="#main", cls="skip"),
        header,
        main,
        tag("p", "", id="say", cls="unseen", aria_live="polite"),
        tag("footer", f"kubectl perennial {__version__}, read-only: changes are made with kubectl perennial."),
        data_live=live_path,
    )
    return document(head, body)
