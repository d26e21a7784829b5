"""The operator as the process that it is in production, so that it can be killed, stopped and started again."""

import asyncio
import json
import os
import signal
import sys
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.ports import reserved

ROOT = Path(__file__).resolve().parents[2]

FAST: dict[str, Any] = {
    "leaderElection": {"enabled": False},
    "resyncSeconds": 5,
    "queue": {"backoffSeconds": 0.05, "maxBackoffSeconds": 1},
    "agent": {"image": "agent:test"},
    "runtimes": {"test-server": {"image": "server:test", "port": 8080}},
}
"""Short waits, so that a test sees a retry; nothing that changes what is decided."""


def kubeconfig_for(url: str, folder: Path, namespace: str = "default") -> Path:
    """Write a kubeconfig for a server that asks for no credentials, such as the proxy."""
    path = folder / f"kubeconfig-{url.rsplit(':', 1)[-1]}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(document))
    return path


class OperatorProcess:
    """One replica. Its log is kept beside its configuration."""

    def __init__(
        self,
        url: str,
        folder: Path,
        config: dict[str, Any] | None = None,
        *,
        name: str = "operator",
        namespace: str = "default",
        kubeconfig: Path | None = None,
    ) -> None:
        """Prepare; `start` starts it."""
        self._folder = folder
        # Leases lie in the namespace of the context.
        self._kubeconfig = kubeconfig or kubeconfig_for(url, folder, namespace)
        self._config = {**FAST, **(config or {})}
        self._name = name
        self.log = folder / f"{name}.log"
        # Held for as long as this object lives, since a replica that is started again keeps its port.
        self._reserved = ExitStack()
        self.port = self._reserved.enter_context(reserved())
        weakref.finalize(self, self._reserved.close)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *, ready: bool = True, seconds: float = 30) -> None:
        """Start the process, and wait until it is ready."""
        path = self._folder / f"{self._name}.yaml"
        path.write_text(yaml.safe_dump({**self._config, "httpPort": self.port}))
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}", "POD_NAME": self._name}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "perennial",
                "operator",
                "--config",
                str(path),
                "--kubeconfig",
                str(self._kubeconfig),
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            await self.wait_ready(seconds)

    async def wait_ready(self, seconds: float = 30) -> None:
        """Wait for /readyz; fail with the log's end when the process ends or takes too long."""
        async with aiohttp.ClientSession() as session:
            for _ in range(int(seconds / 0.05)):
                if self.ended:
                    break
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(f"the operator did not get ready; its log ends with:\n{self.tail()}")

    @property
    def ended(self) -> bool:
        """Tell whether the process is gone."""
        return self.process is None or self.process.returncode is not None

    def tail(self, lines: int = 30) -> str:
        """Return the end of the log."""
        return (
            "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else "(no log)"
        )

    async def metrics(self, name: str) -> dict[str, float]:
        """Return the values of a metric, by their labels as Prometheus writes them (`kind="Job"`, or nothing)."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}/metrics") as answer,
        ):
            lines = [line.rpartition(" ") for line in (await answer.text()).splitlines()]
        found = [(key.removeprefix(name), value) for key, _, value in lines if key.startswith(name)]
        return {key.strip("{}"): float(value) for key, value in found if not key or key[0] == "{"}

    async def metric(self, name: str, **labels: str) -> float:
        """Return the value with exactly these labels, in their order; 0 for one that is not there."""
        text = ",".join(f'{key}="{value}"' for key, value in labels.items())
        return (await self.metrics(name)).get(text, 0.0)

    def logged(self, level: str) -> list[str]:
        """Return the messages of a level that were logged so far."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line["message"] for line in lines if line["level"] == level]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process still lives."""
        if self.process is not None and not self.ended:
            self.process.send_signal(number)

    async def kill(self) -> None:
        """End it without a chance to tidy up."""
        self.signal(signal.SIGKILL)
        await self.wait()

    async def stop(self, seconds: float = 20) -> int:
        """End it as Kubernetes does, and return its exit status."""
        self.signal(signal.SIGTERM)
        return await self.wait(seconds)

    async def wait(self, seconds: float = 20) -> int:
        """Wait for its end and return its exit status."""
        if self.process is None:
            return 0
        try:
            return await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise AssertionError(f"the operator did not end within {seconds:.0f} s:\n{self.tail()}") from None
