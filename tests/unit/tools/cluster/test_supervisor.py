"""Process 1's work: start, notice an early end, restart what dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
from pathlib import Path
from tools.cluster.daemons import Daemon
from tools.cluster import supervisor
supervisor.RESTART_SECONDS = 0.0
folder = Path(sys.argv[1])
sup = supervisor.Supervisor(folder, {"PATH": os.environ["PATH"]})
mode = sys.argv[2]
if mode == "early-end":
    sup.start(Daemon("etcd", ("sh", "-c", "echo no room; exit 3")))
    try:
        sup.wait_until(lambda: False, "waiting for the API server", 20)
    except supervisor.StartError as error:
        print(error)
elif mode == "timeout":
    try:
        sup.wait_until(lambda: False, "waiting for godot", 0)
    except supervisor.StartError as error:
        print(error)
elif mode == "forked":
    child = os.fork()
    if child == 0:
        os._exit(1)
    sup.watch(child, "node2")
    try:
        sup.wait_until(lambda: False, "waiting for nodes", 20)
    except supervisor.StartError as error:
        print(error)
else:
    sup.start(Daemon("etcd", ("sh", "-c", "echo started; exit 1")))
    class Enough(Exception): ...
    def check():
        if (folder / "etcd.log").read_text().count("started") >= 3:
            raise Enough
    try:
        sup.run_forever(check)
    except Enough:
        print("restarted")
"""


def run(folder: Path, mode: str) -> str:
    # In a process of its own, since a supervisor reaps every child of its process.
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), mode],
        capture_output=True, text=True, check=True, env=env, timeout=60,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("early-end", "etcd ended while waiting for the API server"),
        ("timeout", "timeout of 0 s while waiting for godot"),
        ("forked", "node2 ended while waiting for nodes"),
        ("restart", "restarted"),
    ],
)
def test_supervision(tmp_path: Path, mode: str, said: str) -> None:
    assert run(tmp_path, mode) == said


def test_the_output_of_a_program_is_in_its_log(tmp_path: Path) -> None:
    run(tmp_path, "early-end")
    assert (tmp_path / "etcd.log").read_text() == "no room\n"
