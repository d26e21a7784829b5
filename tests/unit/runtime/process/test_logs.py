"""Log lines as JSON and as text."""

import json
import logging
from io import StringIO

from perennial.core.kinds import Key
from perennial.runtime.process import logs


def test_json_lines_carry_the_key_and_the_error() -> None:
    stream = StringIO()
    logs.configure("info", "json", stream)
    log = logging.getLogger("perennial.test")
    with logs.about(Key("TrainingJob", "n", "a")):
        try:
            raise ValueError("boom")
        except ValueError:
            log.exception("it %s", "failed")
    log.info("after")
    log.debug("never")
    logging.getLogger("kopf.objects").info("never")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "it failed"
    assert first["object"] == "TrainingJob/n/a"
    assert first["level"] == "error"
    assert "boom" in first["error"]
    assert first["time"].endswith("+00:00")
    assert "object" not in second


def test_watches_that_all_retry_are_told_of_once() -> None:
    stream = StringIO()
    logs.configure("info", "json", stream)
    log = logging.getLogger("kopf._cogs.clients.watching")
    for kind in ("jobs", "pods"):
        log.error(f"Request attempt #1/9 failed; will retry: GET {kind}")
    log.error("Request attempt #9/9 failed; escalating: GET pods")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["level"] == "warning"
    assert first["message"].endswith("GET jobs")
    assert "escalating" in second["message"]


def test_text_lines_are_for_people() -> None:
    stream = StringIO()
    logs.configure("debug", "text", stream)
    with logs.about(Key("TrainingJob", "n", "a")):
        logging.getLogger("perennial").debug("hello")
    assert stream.getvalue().endswith("DEBUG   TrainingJob/n/a: hello\n")
