"""Brings a monitor's report to a person: with the person's own credentials, or by a short-lived pod in the cluster."""

import base64
import binascii
import gzip
import time
from collections.abc import Callable, Iterable

from pydantic import ValidationError

from perennial.api.common.base import Model
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ShowConfig
from perennial.api.contract.messages import SHOWN_PREFIX, Failure
from perennial.api.contract.settings import AgentConfigDefaults
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.api.kubernetes import Pod
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import CRON_JOB, POD, Raw
from perennial.core.podspec import agent_container, pod_options, pod_security, storage_volumes

CONTAINER = "show"
_SECONDS = 120
_POLL = 0.5


class _Container(Model):
    image: str = ""


class _PodSpec(Model):
    containers: tuple[_Container, ...] = ()


class _Template(Model):
    spec: _PodSpec = _PodSpec()


class _JobSpec(Model):
    template: _Template = _Template()


class _JobTemplate(Model):
    spec: _JobSpec = _JobSpec()


class _CronJobSpec(Model):
    job_template: _JobTemplate = _JobTemplate()


class _CronJob(Model):
    spec: _CronJobSpec = _CronJobSpec()


def report_uri(resource: DriftMonitor) -> str:
    """URI of the newest report.

    Raises:
        CliError: there is none.
    """
    if resource.spec.report is None:
        raise CliError(f"{resource.metadata.name} writes no reports: set spec.report.uri")
    verdict = resource.status.last_verdict
    if verdict is None or verdict.report_uri is None:
        raise CliError(f"{resource.metadata.name} has no report yet: kubectl perennial why dm/{resource.metadata.name}")
    return verdict.report_uri


def agent_image(cron_job: Raw) -> str:
    """Image of the monitor's comparisons: the agent of the installation.

    Raises:
        CliError: the CronJob has no container.
    """
    containers = _CronJob.model_validate(cron_job).spec.job_template.spec.template.spec.containers
    if not containers:
        raise CliError("the monitor's CronJob has no container: wait until the operator has repaired it")
    return containers[0].image


def report_pod(resource: DriftMonitor, image: str, uri: str) -> Raw:
    """Build a pod that reads the report with the monitor's own storage settings, and writes it to its log.

    It has no labels of the operator, so that nothing takes it for a comparison.
    """
    spec = resource.spec
    config = ShowConfig(storage=spec.storage or Storage(), uri=uri)
    agent = AgentConfigDefaults(image=image)
    account = {"serviceAccountName": spec.service_account_name} if spec.service_account_name else {}
    return {
        "apiVersion": POD.api_version,
        "kind": POD.kind,
        "metadata": {
            "generateName": "perennial-report-",
            "namespace": resource.metadata.namespace,
            "labels": {"app.kubernetes.io/managed-by": "kubectl-perennial"},
        },
        "spec": {
            **pod_options(spec),
            **account,
            "restartPolicy": "Never",
            # Ends by itself, also where the command was interrupted.
            "activeDeadlineSeconds": _SECONDS,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": pod_security(),
            "containers": [agent_container(CONTAINER, "show", config, storage=spec.storage, agent=agent, mounts=[])],
            "volumes": storage_volumes(spec.storage),
        },
    }


def decoded(lines: Iterable[str]) -> bytes:
    """Put the object together from the lines of the pod's log, each after its time.

    Raises:
        CliError: the log is incomplete.
    """
    parts = [
        text.removeprefix(SHOWN_PREFIX) for line in lines if (text := line.partition(" ")[2]).startswith(SHOWN_PREFIX)
    ]
    if not parts or parts[-1]:
        raise CliError("the pod's log does not contain the whole report: try again")
    try:
        return gzip.decompress(base64.b64decode("".join(parts), validate=True))
    except (binascii.Error, OSError, EOFError) as error:
        raise CliError(f"the pod's log does not contain the whole report ({error}): try again") from error


def fetch_by_pod(cluster: Cluster, resource: DriftMonitor, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Run the pod, read its log and delete it.

    Raises:
        CliError: it could not be created, or did not end well within two minutes.
    """
    uri = report_uri(resource)
    image = agent_image(cluster.get(CRON_JOB, resource.metadata.name))
    created = Pod.model_validate(cluster.create(POD, report_pod(resource, image, uri)))
    name = created.metadata.name
    try:
        pod = _ended(cluster, name, sleep)
        if pod.status.phase != "Succeeded":
            raise CliError(f"the report cannot be read: {_cause(pod)}")
        return decoded(cluster.logs(name, CONTAINER))
    finally:
        cluster.delete(POD, name)


def _ended(cluster: Cluster, name: str, sleep: Callable[[float], None]) -> Pod:
    for _ in range(int(_SECONDS / _POLL)):
        pod = Pod.model_validate(cluster.get(POD, name))
        if pod.status.phase in {"Succeeded", "Failed"}:
            return pod
        sleep(_POLL)
    raise CliError(
        f"pod {name} has not ended within {_SECONDS} s: {_cause(Pod.model_validate(cluster.get(POD, name)))}"
    )


def _cause(pod: Pod) -> str:
    """Say what the pod waits for, or why it failed."""
    container = pod.container(CONTAINER)
    if pod.unschedulable:
        return pod.unschedulable
    if container is None:
        return pod.status.message or "it was not started"
    if container.state.waiting is not None:
        return f"{container.state.waiting.reason}: {container.state.waiting.message}"
    ended = container.state.terminated
    return _failure(ended.message) or f"exit code {ended.exit_code}" if ended is not None else "it still runs"


def _failure(message: str) -> str:
    try:
        failure = Failure.model_validate_json(message)
    except ValidationError:
        return ""
    return f"{failure.reason}: {failure.message}"


def fetch_by_own_credentials(resource: DriftMonitor) -> bytes:
    """Read the report with the credentials that boto3 finds on this machine.

    Raises:
        CliError: the storage refuses, or cannot be reached from here.
    """
    # Imported late: boto3 takes several hundred milliseconds.
    from perennial.agent.storage.client import open_storage
    from perennial.agent.storage.errors import AgentError

    try:
        return open_storage(resource.spec.storage or Storage()).get_bytes(report_uri(resource), 2**30)
    except AgentError as error:
        raise CliError(f"{error.message}; {error.failure.next_step}") from error
