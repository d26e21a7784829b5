"""The dashboard's pages from parsed resources, and who is let in."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from perennial.api.driftmonitor.checks import CheckScore
from perennial.api.driftmonitor.status import FeatureScore
from perennial.cli import main as plugin
from perennial.cli.cluster import Refused
from perennial.cli.commands import shared
from perennial.cli.dashboard.drift import bar, score_text, score_word
from perennial.cli.dashboard.guard import Asked, Secrets, refusal
from perennial.cli.dashboard.loops import model_loops, summary
from perennial.cli.dashboard.markup import tag
from perennial.cli.dashboard.pages import Frame, Page, fleet, live, model
from perennial.cli.dashboard.server import Dashboard, Server, doorway, open_server
from perennial.cli.dashboard.source import Seen, Source
from perennial.cli.dashboard.stages import stages, way_back
from perennial.cli.errors import CliError
from perennial.cli.snapshot import Snapshot, read_snapshot
from perennial.core.kinds import Raw
from perennial.core.times import parse_time
from tests.support.builders import NOW, drift_monitor, model_deployment
from tests.unit.cli import scene
from tests.unit.cli.world import FakeCluster, ready, stalled, status

MOMENT = parse_time(NOW) + timedelta(minutes=4)
SECRETS = Secrets("/path", "token")
PORT = 8001
FRAME = Frame("/path", "default", now=MOMENT)


def snapshot(*objects: Raw) -> Snapshot:
    return read_snapshot(FakeCluster(*objects))


def page(*objects: Raw, kind: str = "md", name: str = "churn", own: bool = False, **query: str) -> Page:
    frame = Frame("/path", "default", own, now=MOMENT)
    return model(Seen(snapshot(*objects), MOMENT, MOMENT), frame, kind, name, query)


def text(page: Page) -> str:
    return "".join(part.body for part in page.parts)


def rows(*objects: Raw) -> str:
    return text(fleet(Seen(snapshot(*objects), MOMENT, MOMENT), FRAME))


# What is shown.


def test_the_loop_is_shown_stage_by_stage_with_what_is_under_way() -> None:
    loop = model_loops(snapshot(*scene.cluster().objects))[0]
    found = stages(loop, MOMENT)
    assert [(stage.title, stage.word) for stage in found] == [
        ("Data", "Recorded"),
        ("Run", "Succeeded"),
        ("Artifact", "Published"),
        ("Candidate", "Rolling out"),
        ("Stable", "Serving"),
        ("Verdict", "Finding"),
    ]
    assert [stage.title for stage in found if stage.active] == ["Candidate"]
    assert way_back(loop, MOMENT).text == "churn asked for a retrain 4 min ago"
    assert dict(found[3].facts) == {"model": "churn-3", "traffic": "25 % of requests", "gates": "2 of 3 passed"}


def test_a_run_that_a_monitor_asked_for_is_the_way_back_under_way() -> None:
    current = {
        "name": "churn-4",
        "number": 4,
        "trigger": {"kind": "Drift", "monitor": "churn"},
        "specHash": "a",
        "generation": 1,
        "job": "churn-4-0",
        "startTime": NOW,
        "attemptTime": NOW,
        "progress": {"step": 5, "total": 20, "etaSeconds": 90, "time": NOW},
    }
    job = scene.job(status_fields={"currentRun": current, "phase": "Running"})
    loop = model_loops(snapshot(job, scene.deployment(None), scene.monitor()))[0]
    run = stages(loop, MOMENT)[1]
    assert (run.word, run.active, dict(run.facts)["step"], dict(run.facts)["left"]) == (
        "Running",
        True,
        "5 of 20",
        "about 1 min",
    )
    assert way_back(loop, MOMENT).active


def test_what_was_not_judged_is_not_shown_as_fine() -> None:
    bare = model_loops(snapshot(model_deployment(), drift_monitor(status(*ready("Watching")))))[0]
    assert summary(bare)[0] == "unknown"
    assert [stage.word for stage in stages(bare, MOMENT)] == ["None"] * 6
    last = {"job": "churn-30", "time": NOW, "result": "NoVerdict", "reason": "TooFewRows", "message": "12 rows of 100"}
    shown = text(page(*(scene.job(), scene.deployment(None), scene.monitor(lastRun=last))))
    assert "gave no verdict: 12 rows of 100" in shown
    score = CheckScore(check="fairness", metric="gap", failed=False, why="too few rows")
    assert (score_word(score), score_text(score)) == (("waiting", "Not judged"), "too few rows")


@pytest.mark.parametrize(
    ("score", "threshold", "more", "share"),
    [
        ("0.1", "0.2", {}, 0.5),
        ("9", "0.2", {}, 2.0),
        ("0.1", "0", {}, 2.0),
        ("0.01", "0.01", {"method": "ks", "p_value": "0.01"}, 1.0),
        ("0.1", "0.01", {"method": "ks", "p_value": "0.1"}, 0.5),
        ("0", "0.01", {"method": "chi2", "p_value": "0"}, 2.0),
        ("0.6", "0.6", {"method": "auc"}, 1.0),
        ("0.45", "0.6", {"method": "auc"}, 0.0),
    ],
)
def test_each_column_is_a_share_of_its_threshold(
    score: str, threshold: str, more: dict[str, Any], share: float
) -> None:
    fields = {"name": "age", "method": "psi", "score": score, "threshold": threshold, "drifted": True, **more}
    assert bar(FeatureScore(**fields)).share == pytest.approx(share)


def test_the_fleet_has_a_row_for_each_model_and_for_what_belongs_to_none() -> None:
    lonely = {**drift_monitor(status(*ready("Watching")))}
    lonely["spec"] = {**lonely["spec"], "target": {"modelDeployment": "gone"}}
    lonely["metadata"] = {**lonely["metadata"], "name": "lonely"}
    other = scene.job()
    other["metadata"] = {**other["metadata"], "name": "other"}
    shown = rows(*scene.cluster().objects, lonely, other)
    assert [name in shown for name in ("/path/model/md/churn", "/path/model/tj/other", "/path/model/dm/lonely")] == [
        True
    ] * 3
    assert "Rolling out, 25 %, gates 2 of 3 passed" in shown
    assert "drift: 2 of 4 columns drifted" in shown
    assert "kubectl perennial init" in rows()


def test_a_failed_rollout_needs_attention_although_the_stable_revision_serves() -> None:
    found = scene.candidate(10, 1, scene.gate("errorRate", "Failed", "too many errors", value="0.03"))
    found.update(phase="Failed", reason="GateFailed", message="gate errorRate failed")
    loop = model_loops(snapshot(scene.job(), scene.deployment(found)))[0]
    assert summary(loop) == ("failed", "rollout of churn-bbb failed: gate errorRate failed")


def test_the_first_cause_is_shown_once_with_its_next_step() -> None:
    job = scene.job()
    job["status"] = status(*stalled("OutOfMemory", "train used more than 1Gi"))
    serving = model_deployment()
    serving["status"] = status(*stalled("WaitingForModel", "TrainingJob churn has published nothing yet"))
    why = next(part.body for part in page(job, serving).parts if part.id == "why")
    assert why.count("train used more than 1Gi") == 1
    assert "trainingjob/churn: OutOfMemory" in why
    assert "Next: " in why


def test_two_runs_are_chosen_by_the_address() -> None:
    shown = page(*scene.cluster().objects, left="churn-1", right="churn-3")
    compare = next(part.body for part in shown.parts if part.id == "compare")
    assert '<option value="churn-1" selected>' in compare
    assert '<option value="churn-3" selected>' in compare
    assert "0.891" in compare
    unknown = page(*scene.cluster().objects, left="<script>", right="churn-9")
    assert "&lt;script" not in text(unknown)
    assert "<script" not in text(unknown)


def test_a_report_is_shown_inline_only_with_own_credentials() -> None:
    objects = (scene.deployment(None), scene.monitor(reportUri="s3://reports/churn.html"))
    assert "kubectl perennial -n default report churn" in text(page(*objects))
    assert "<iframe" not in text(page(*objects))
    shown = page(*objects, own=True)
    assert 'sandbox=""' in next(part.body for part in shown.parts if part.id == "reports-churn")


def test_the_frame_of_a_report_is_not_loaded_anew_when_time_passes() -> None:
    objects = (scene.deployment(None), scene.monitor(reportUri="s3://reports/churn.html"))

    def sections(minutes: int) -> dict[str, str]:
        frame = Frame("/path", "default", True, now=MOMENT + timedelta(minutes=minutes))
        found = model(Seen(snapshot(*objects), MOMENT, MOMENT), frame, "md", "churn", {})
        return {part.id: part.body for part in found.parts}

    assert sections(0)["verdicts"] != sections(9)["verdicts"]
    assert sections(0)["reports-churn"] == sections(9)["reports-churn"]


def test_what_is_announced_changes_when_the_rollout_advances_and_not_with_time() -> None:
    def say(weight: int, minutes: int) -> str:
        frame = Frame("/path", "default", now=MOMENT + timedelta(minutes=minutes))
        seen = Seen(snapshot(*scene.cluster(weight).objects), MOMENT, MOMENT)
        return model(seen, frame, "md", "churn", {}).say

    assert say(25, 0) == say(25, 9)
    assert say(25, 0) != say(50, 0)


# What comes from the cluster is not trusted.

HOSTILE = "\"'><img src=x onerror=alert(1)>"


def test_hostile_text_is_escaped_everywhere() -> None:
    objects = json.loads(json.dumps([*scene.cluster().objects]))

    def poisoned(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: HOSTILE if key in {"message", "run", "subject", "why", "by"} else poisoned(item)
                for key, item in value.items()
            }
        return [poisoned(item) for item in value] if isinstance(value, list) else value

    shown = page(*(poisoned(item) for item in objects))
    assert "<img" not in text(shown)
    assert "&lt;img" in text(shown)
    assert "<img" not in rows(*(poisoned(item) for item in objects))


def test_attributes_are_escaped() -> None:
    assert tag("a", HOSTILE, href=HOSTILE) == (
        '<a href="&quot;&#x27;&gt;&lt;img src=x onerror=alert(1)&gt;">'
        "&quot;&#x27;&gt;&lt;img src=x onerror=alert(1)&gt;</a>"
    )


# What cannot be read.


def reading(*answers: Snapshot | Exception) -> Callable[[], Snapshot]:
    left = list(answers)

    def read() -> Snapshot:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return read


def test_a_failure_is_told_and_what_is_old_is_marked_until_it_recovers() -> None:
    times = [MOMENT + timedelta(seconds=second) for second in (0, 1, 60, 60, 120)]
    now = iter(times)
    good = snapshot(*scene.cluster().objects)
    source = Source(reading(good, CliError("the API server cannot be reached."), good), lambda: next(now))
    assert source.seen().error == ""
    assert source.seen().error == ""  # within two seconds: not read again
    seen = source.seen()
    assert seen.error == "the API server cannot be reached"
    shown = text(model(seen, Frame("/path", "default", now=times[2]), "md", "churn", {}))
    assert "the API server cannot be reached. What follows was read 1 min ago" in shown
    assert "churn-bbb" in shown
    assert source.seen().error == ""


def test_no_permission_is_told_in_words() -> None:
    refused = Refused(403, "not allowed: ada cannot list trainingjobs. The page who-may-do-what lists the roles")
    source = Source(reading(refused), lambda: MOMENT)
    shown = fleet(source.seen(), FRAME)
    assert shown.status == 503
    assert "not allowed: ada cannot list trainingjobs" in text(shown)
    assert live(shown)["ids"] == ["trouble"]


def test_a_resource_that_is_gone_is_told_in_words() -> None:
    shown = page(kind="md", name="churn")
    assert shown.status == 404
    assert "has no md/churn" in text(shown)


# Who is let in.


def asked(**more: str) -> Asked:
    fields = {"method": "GET", "path": "/path/", "host": f"127.0.0.1:{PORT}", "cookie": "perennial=token", **more}
    return Asked(**fields)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"method": "HEAD"},
        {"host": f"localhost:{PORT}"},
        {"host": f"[::1]:{PORT}"},
        {"cookie": "", "token": "token"},
        {"cookie": "other=1; perennial=token"},
        {"site": "same-origin", "mode": "cors"},
        {"site": "cross-site", "mode": "navigate", "cookie": "", "token": "token"},
    ],
)
def test_the_browser_with_the_token_is_let_in(more: dict[str, str]) -> None:
    assert refusal(asked(**more), SECRETS, PORT) is None


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": ""}, 421),
        ({"host": f"127.0.0.1.evil.example:{PORT}"}, 421),
        ({"method": "POST"}, 405),
        ({"method": "DELETE"}, 405),
        ({"cookie": ""}, 403),
        ({"cookie": "perennial=tokem"}, 403),
        ({"cookie": "perennial=\u00e4"}, 403),
        ({"token": "wrong"}, 403),
        ({"path": "/"}, 403),
        ({"path": "/path"}, 403),
        ({"path": "/pathology/"}, 403),
        ({"path": "/other/static/dashboard.css"}, 403),
        ({"site": "same-site", "mode": "no-cors"}, 403),
        ({"site": "cross-site", "mode": "cors"}, 403),
    ],
)
def test_all_others_are_refused(more: dict[str, str], status: int) -> None:
    found = refusal(asked(**more), SECRETS, PORT)
    assert found is not None
    assert found[0] == status


@contextmanager
def serving(cluster: FakeCluster, fetch: Any = None, now: Callable[[], datetime] = lambda: MOMENT) -> Iterator[Server]:
    dashboard = Dashboard(Source(lambda: read_snapshot(cluster), now), SECRETS, "default", now, fetch)
    server = Server(dashboard, 0)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(server: Server, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_the_address_sets_a_cookie_for_its_path_and_goes_on() -> None:
    with serving(scene.cluster()) as server:
        assert server.server_address[0] == "127.0.0.1"
        target = urlsplit(server.address)
        status, headers, body = get(server, f"{target.path}?{target.query}")
        assert status == 200
        assert headers["Set-Cookie"] == "perennial=token; Path=/path/; HttpOnly; SameSite=Strict"
        assert headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert 'content="0;url=/path/"' in body
        assert "churn" not in body


def test_pages_changes_and_files_are_served_and_the_token_is_not_in_them() -> None:
    with serving(scene.cluster()) as server:
        for path, part in {
            "/path/": "churn",
            "/path/model/md/churn": "churn-bbb",
            "/path/static/dashboard.js": "fetch(",
            "/path/static/dashboard.css": "prefers-color-scheme",
            "/path/live/model/md/churn": '"ids"',
        }.items():
            status, headers, body = get(server, path, Cookie="perennial=token")
            assert (status, part in body, SECRETS.token in body) == (200, True, False), path
            assert headers["Cache-Control"] == "no-store"
        for path in ("/path/static/../server.py", "/path/static/", "/path/nothing", "/path/model/md/nothing"):
            assert get(server, path, Cookie="perennial=token")[0] == 404, path
        assert get(server, "/path/", method="HEAD", Cookie="perennial=token")[2] == ""


def test_whoever_is_refused_sees_nothing_of_the_cluster() -> None:
    with serving(scene.cluster()) as server:
        for found in (
            get(server, "/path/"),
            get(server, "/path/", method="POST", Cookie="perennial=token"),
            get(server, "/path/", Cookie="perennial=token", Host="evil.example"),
        ):
            assert found[0] in {403, 405, 421}
            assert "churn" not in found[2]
            assert "/path" not in found[2]


def test_a_report_may_run_nothing() -> None:
    cluster = FakeCluster(scene.deployment(None), scene.monitor(reportUri="s3://reports/churn.html"))
    with serving(cluster, lambda monitor: b"<h1>Report</h1><script>alert(1)</script>") as server:
        status, headers, body = get(server, "/path/report/churn", Cookie="perennial=token")
    assert (status, "Report" in body) == (200, True)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "; sandbox;" in policy

    def broken(monitor: object) -> bytes:
        raise CliError("the storage <refuses>")

    with serving(cluster, broken) as server:
        assert get(server, "/path/report/other", Cookie="perennial=token")[0] == 404
        status, _, body = get(server, "/path/report/churn", Cookie="perennial=token")
        assert (status, "the storage &lt;refuses&gt;" in body) == (502, True)


def test_only_the_user_can_read_the_file_that_leads_the_browser_in() -> None:
    door = doorway("http://127.0.0.1:1/path/?token=token&x=1")
    try:
        assert door.stat().st_mode & 0o077 == 0
        assert "token=token&amp;x=1" in door.read_text()
    finally:
        door.unlink()


def test_the_command_prints_the_address_until_it_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(server: Server, poll_interval: float = 0.5) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shared, "connect", lambda *_: scene.cluster())
    monkeypatch.setattr(Server, "serve_forever", interrupted)
    done = CliRunner().invoke(plugin.app, ["dashboard"])
    assert done.exit_code == 0, done.output
    assert re.match(r"http://127\.0\.0\.1:\d+/[\w-]{12}/\?token=[\w-]{43}\n", done.output)


def test_a_port_that_is_taken_is_told() -> None:
    with serving(scene.cluster()) as server, pytest.raises(CliError, match="Choose another --port"):
        open_server(scene.cluster(), server.server_port)
