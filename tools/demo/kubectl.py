"""kubectl, bound to one cluster: the program a person would use, so that each step can be repeated by hand."""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.cluster import api
from tools.cluster.errors import ClusterError, tail

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Kubectl:
    """One cluster, as kubectl and Helm are told of it."""

    kubeconfig: Path | None
    """Unset: whatever kubectl finds by itself."""
    context: str | None = None
    program: str = "kubectl"

    @staticmethod
    def of(kubeconfig: Path | None, context: str | None = None, *, ours: bool = False) -> "Kubectl":
        """Return kubectl for a cluster.

        Args:
            kubeconfig: file with the cluster's address; unset: as kubectl finds it.
            context: the context in it; unset: its current one.
            ours: take the kubectl that was built with the embedded cluster. Otherwise the user's own wins.

        Raises:
            ClusterError: there is none, and it cannot be built.
        """
        found = None if ours else shutil.which("kubectl")
        return Kubectl(kubeconfig, context, found or str(api.binary("kubectl")))

    def environment(self) -> dict[str, str]:
        """Return the environment for kubectl and Helm."""
        named = {"KUBECONFIG": str(self.kubeconfig)} if self.kubeconfig is not None else {}
        return {**os.environ, **named}

    def words(self) -> str:
        """Return how a person would call it, ready to be pasted."""
        name = Path(self.program).name if shutil.which(Path(self.program).name) else self.program
        return shlex.join([name, *(["--context", self.context] if self.context else [])])

    def attempt(
        self, *arguments: str, stdin: str | None = None, seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run kubectl and return what came of it, whether it failed or not.

        Raises:
            ClusterError: it did not end within `seconds`.
        """
        command = [self.program, *(["--context", self.context] if self.context else []), *arguments]
        try:
            return subprocess.run(
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                env=self.environment(),
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterError(
                f"the cluster did not answer within {seconds:.0f} s", where=shlex.join(command), fix="is it up?"
            ) from error

    def run(self, *arguments: str, stdin: str | None = None, seconds: float = 60) -> str:
        """Run kubectl and return its output.

        Raises:
            ClusterError: it failed; holds what it said.
        """
        done = self.attempt(*arguments, stdin=stdin, seconds=seconds)
        if done.returncode != 0:
            what = shlex.join([Path(self.program).name, *arguments])
            raise ClusterError(f"kubectl failed\n{tail(done.stderr or done.stdout)}", where=what)
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Return `kubectl get … -o json`, parsed; None when the object is not there.

        Raises:
            ClusterError: it failed.
        """
        text = self.run("get", *arguments, "--ignore-not-found", "-o", "json")
        return json.loads(text) if text.strip() else None

    def apply(self, objects: Sequence[Object], namespace: str | None = None) -> None:
        """Apply objects on the server's side.

        Raises:
            ClusterError: one was refused.
        """
        bundle = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        place = ["--namespace", namespace] if namespace else []
        self.run(
            "apply", "--server-side", "--force-conflicts", "--field-manager=perennial-demo", *place, "-f", "-",
            stdin=bundle,
        )  # fmt: skip
