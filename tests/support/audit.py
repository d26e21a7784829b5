"""Runs the Jobs that append to the audit log, with the agent's own code and a log in memory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from perennial.agent.audit.append import append
from perennial.agent.auditlog.verify import verify
from perennial.agent.storage.errors import AgentError
from perennial.api.contract.audit import AuditAppend, AuditReport, AuditVerify
from perennial.api.contract.commands import CONFIG_VARIABLE
from perennial.api.contract.messages import Failure
from perennial.core.kinds import CONFIG_MAP, JOB, POD, Raw
from perennial.core.labels import JOB_NAME_LABEL
from perennial.runtime.audit.job import CONTAINER, batches_of
from tests.support.memory import Store
from tests.unit.agent.audit.support import MemoryLog

NAMESPACE = "perennial-system"
LOG = "s3://audit/perennial/"


@dataclass
class AuditSite:
    """The kubelet of the operator's namespace, and the storage that its pods reach."""

    folder: Path
    log: MemoryLog = field(default_factory=MemoryLog)
    failure: Failure | None = None
    """What each pod ends with instead of appending."""
    expected: list[Any] = field(default_factory=list)
    """Positions that the Jobs expected the log to hold."""

    def run_jobs(self, store: Store) -> bool:
        """Run each Job that has not ended; tell whether there was one."""
        jobs = [raw for raw in store.named(JOB, NAMESPACE).values() if "status" not in raw]
        for job in jobs:
            self._run(store, job)
        return bool(jobs)

    def _run(self, store: Store, job: Raw) -> None:
        mounted = {name: store.get(CONFIG_MAP, NAMESPACE, name) for name in batches_of(job)}
        text, code = self.end_of(job, mounted, store.now)
        name = job["metadata"]["name"]
        ended = {"exitCode": code, "message": text, "finishedAt": store.now.isoformat()}
        store.put(
            {
                "apiVersion": "v1",
                "kind": POD.kind,
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": {JOB_NAME_LABEL: name}},
                "status": {"containerStatuses": [{"name": CONTAINER, "state": {"terminated": ended}}]},
            }
        )
        condition = {"type": "Complete" if code == 0 else "Failed", "status": "True"}
        store.put({**job, "status": {"conditions": [condition]}})

    def end_of(self, job: Raw, mounted: Mapping[str, Raw | None], now: datetime) -> tuple[str, int]:
        """Let the agent append, given the ConfigMaps; return the termination message and exit code of its pod."""
        container = job["spec"]["template"]["spec"]["containers"][0]
        variables = {item["name"]: item.get("value", "") for item in container["env"]}
        config = AuditAppend.model_validate_json(variables[CONFIG_VARIABLE].replace("$$", "$"))
        self.expected.append(config.expect)
        config = config.model_copy(update={"outbox": str(self._write(mounted))})
        if self.failure is not None:
            return self.failure.model_dump_json(by_alias=True), 1
        try:
            return append(config, self.log, lambda: now, lambda _: None).model_dump_json(by_alias=True), 0
        except AgentError as error:
            return _told(error), error.failure.code

    def _write(self, mounted: Mapping[str, Raw | None]) -> Path:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        for name, raw in mounted.items():
            assert raw is not None, f"the pod cannot start: {name} is gone"
            for file, text in raw["data"].items():
                (self.folder / file).write_text(text)
        return self.folder

    @property
    def entries(self) -> list[Raw]:
        """The entries of the log, in order."""
        lines = [json.loads(line) for name in self.log.segments for line in self.log.objects[name].splitlines()]
        return [line["entry"] for line in lines if "entry" in line]

    def verified(self) -> AuditReport:
        """What the agent's `verify` says."""
        return verify(AuditVerify(uri=LOG), self.log)


def _told(error: AgentError) -> str:
    return Failure(reason=error.failure.reason, message=error.message).model_dump_json(by_alias=True)
