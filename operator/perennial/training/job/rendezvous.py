"""How workers find each other: headless Service, host names, and each framework's variables.

The variables are those that the frameworks' launchers read (torchrun, jax.distributed, TF_CONFIG,
DMLC).
"""

import json
from math import ceil
from typing import Any

from perennial.api.common.pod import ResourceRequirements
from perennial.api.contract.settings import OperatorConfig
from perennial.api.trainingjob.distribution import RENDEZVOUS_PORTS
from perennial.api.trainingjob.resource import TrainingJob, TrainingJobSpec
from perennial.core.kinds import SERVICE, TRAINING_JOB, Key, Raw
from perennial.core.labels import COMPONENT_LABEL, JOB_INDEX_KEY, KIND_LABEL, NAME_LABEL
from perennial.core.names import child_name, owner_labels
from perennial.core.podspec import owner_reference
from perennial.core.quantities import parse_quantity

COMPONENT = "training"
INDEX_VARIABLE, COUNT_VARIABLE, LEADER_VARIABLE = "PERENNIAL_WORKER_INDEX", "PERENNIAL_WORKERS", "PERENNIAL_LEADER"


def service_name(resource: str) -> str:
    """Return the name of the Service. The prefix makes it valid even if the TrainingJob's name begins with a digit."""
    return child_name(f"tj-{resource}", "workers")


def build_service(resource: TrainingJob) -> Raw:
    """Return the headless Service through which workers resolve each other."""
    meta = resource.metadata
    owner = Key(TRAINING_JOB.kind, meta.namespace, meta.name)
    return {
        "apiVersion": SERVICE.api_version,
        "kind": SERVICE.kind,
        "metadata": {
            "name": service_name(meta.name),
            "namespace": meta.namespace,
            "labels": owner_labels(owner, COMPONENT),
            "ownerReferences": [owner_reference(TRAINING_JOB, meta)],
        },
        "spec": {
            "clusterIP": "None",
            # Workers resolve each other before any of them is ready.
            "publishNotReadyAddresses": True,
            "selector": {KIND_LABEL: TRAINING_JOB.kind, NAME_LABEL: meta.name, COMPONENT_LABEL: COMPONENT},
        },
    }


def pod_network(resource: TrainingJob) -> dict[str, Any]:
    """Return the pod field that adds its host name to the Service; nothing for a single worker."""
    return {} if resource.spec.workers == 1 else {"subdomain": service_name(resource.metadata.name)}


def host(resource: TrainingJob, job: str, index: int, config: OperatorConfig) -> str:
    """Return the DNS name of a worker; it is known before the pod exists."""
    if resource.spec.workers == 1:
        return "localhost"
    meta = resource.metadata
    domain = f".{config.cluster_domain}" if config.cluster_domain else ""
    return f"{job}-{index}.{service_name(meta.name)}.{meta.namespace}.svc{domain}"


def worker_env(resource: TrainingJob, job: str, config: OperatorConfig) -> list[dict[str, Any]]:
    """Return the variables with the worker's index and the leader's address; none for a single plain worker."""
    spec = resource.spec
    if spec.workers == 1 and spec.framework == "none":
        return []
    fixed = {
        COUNT_VARIABLE: str(spec.workers),
        LEADER_VARIABLE: host(resource, job, 0, config),
        **_framework_env(resource, job, config),
    }
    return [
        _own_index(INDEX_VARIABLE),
        *({"name": name, "value": value} for name, value in fixed.items()),
    ]


def processes_per_worker(spec: TrainingJobSpec) -> str:
    """Return the value of `torchrun --nproc-per-node`."""
    if spec.processes_per_worker is not None:
        return spec.processes_per_worker
    asked = spec.resources or ResourceRequirements()
    amounts = {**(asked.requests or {}), **(asked.limits or {})}
    if any(_is_gpu(name) and parse_quantity(amount) for name, amount in amounts.items()):
        return "auto"
    cpu = (asked.requests or {}).get("cpu") or (asked.limits or {}).get("cpu")
    return str(max(1, ceil(parse_quantity(cpu) or 1))) if cpu else "1"


def _is_gpu(name: str) -> bool:
    """Tell whether an extended resource is a GPU or part of one: nvidia.com/gpu, amd.com/gpu, nvidia.com/mig-…."""
    return "/" in name and ("gpu" in name or "/mig-" in name)


def _own_index(name: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{JOB_INDEX_KEY}']"}}}


def _framework_env(resource: TrainingJob, job: str, config: OperatorConfig) -> dict[str, str]:
    spec = resource.spec
    count, me = str(spec.workers), f"$({INDEX_VARIABLE})"
    leader, port = host(resource, job, 0, config), str(RENDEZVOUS_PORTS[spec.framework])
    match spec.framework:
        case "torch":
            return {
                "PET_NNODES": count,
                "PET_NPROC_PER_NODE": processes_per_worker(spec),
                "PET_NODE_RANK": me,
                "PET_MASTER_ADDR": leader,
                "PET_MASTER_PORT": port,
            }
        case "jax":
            return {
                "JAX_NUM_PROCESSES": count,
                "JAX_PROCESS_ID": me,
                "JAX_COORDINATOR_ADDRESS": f"{leader}:{port}",
            }
        case "xgboost":
            return {
                "DMLC_TRACKER_URI": leader,
                "DMLC_TRACKER_PORT": port,
                "DMLC_TASK_ID": me,
                "DMLC_NUM_WORKER": count,
            }
        case "tensorflow":
            return {"TF_CONFIG": _tf_config(resource, job, config)} if spec.workers > 1 else {}
        case "none":
            return {}


def _tf_config(resource: TrainingJob, job: str, config: OperatorConfig) -> str:
    """Return TF_CONFIG with a reference to the worker's index, which Kubernetes expands."""
    port = RENDEZVOUS_PORTS["tensorflow"]
    hosts = [f"{host(resource, job, index, config)}:{port}" for index in range(resource.spec.workers)]
    cluster = json.dumps({"worker": hosts}, separators=(",", ":"))
    task = f'{{"type":"worker","index":$({INDEX_VARIABLE})}}'
    return f'{{"cluster":{cluster},"task":{task},"environment":"cloud"}}'
