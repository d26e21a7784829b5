"""Brings a monitor's report to a person: with the person's own credentials, or by a short-lived pod in the cluster."""

from perennial.api.common.base import Model
from perennial.api.common.pod import Storage
from perennial.api.contract.commands import ShowConfig
from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.cli.agent_pod import Errand, run_errand
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.kinds import CRON_JOB, Raw
from perennial.core.podspec import pod_options


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


def report_errand(resource: DriftMonitor, image: str, uri: str) -> Errand:
    """Describe a pod that reads the report with the monitor's own storage settings."""
    spec = resource.spec
    return Errand(
        name="report",
        command="show",
        config=ShowConfig(storage=spec.storage or Storage(), uri=uri),
        storage=spec.storage,
        image=image,
        namespace=resource.metadata.namespace,
        options=pod_options(spec),
        account=spec.service_account_name,
    )


def fetch_by_pod(cluster: Cluster, resource: DriftMonitor) -> bytes:
    """Read the report by a pod.

    Raises:
        CliError: it could not be created, or did not end well within two minutes.
    """
    uri = report_uri(resource)
    image = agent_image(cluster.get(CRON_JOB, resource.metadata.name))
    return run_errand(cluster, report_errand(resource, image, uri))


def fetch_by_own_credentials(resource: DriftMonitor) -> bytes:
    """Read the report with the credentials that boto3 finds on this machine.

    Raises:
        CliError: the storage refuses, or cannot be reached from here.
    """
    # Imported late: boto3 takes several hundred milliseconds.
    from perennial.agent.storage.errors import AgentError
    from perennial.agent.storage.opening import open_storage

    try:
        return open_storage(resource.spec.storage or Storage()).get_bytes(report_uri(resource), 2**30)
    except AgentError as error:
        raise CliError(f"{error.message}; {error.failure.next_step}") from error
