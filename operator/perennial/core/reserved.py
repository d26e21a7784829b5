"""What pods reserve on nodes: the basis of what a model costs.

Kubernetes sets aside a pod's effective requests from the moment that it has a node until it has ended:
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from perennial.api.common.base import Model
from perennial.api.kubernetes import PodSpec
from perennial.core.decision import Gauge
from perennial.core.kinds import Kind, Raw
from perennial.core.quantities import parse_quantity

Amounts = Mapping[str, Decimal]
"""Cores of `cpu`, bytes of `memory`, and numbers of others, such as `nvidia.com/gpu`."""

_ALWAYS = ("cpu", "memory")
"""Shown as 0 when nothing is reserved, so that a sum over time has data before the first pod."""
_MOST = 8
"""Names of resources for one object; a node offers a few kinds of devices."""
_ENDED = frozenset({"Succeeded", "Failed"})
_ZERO = Decimal(0)


class _Status(Model):
    phase: str = ""


class _Pod(Model):
    spec: PodSpec = PodSpec()
    status: _Status = _Status()


def reserved_gauges(kind: Kind, pods: Iterable[Raw]) -> tuple[Gauge, ...]:
    """Return what the pods of a resource reserve at present, one gauge for each of at most eight names."""
    total = _sum(reserved(pod) for pod in pods)
    others = sorted(name for name in total if name not in _ALWAYS)
    return tuple(_gauge(kind, name, total.get(name, _ZERO)) for name in (*_ALWAYS, *others)[:_MOST])


def reserved(pod: Raw) -> Amounts:
    """Return what a pod reserves; nothing before it has a node and after it has ended.

    Args:
        pod: as the API server gives it.
    """
    parsed = _Pod.model_validate(pod)
    if not parsed.spec.node_name or parsed.status.phase in _ENDED:
        return {}
    return _effective(parsed.spec)


def _effective(spec: PodSpec) -> Amounts:
    """Init containers run one after another, beside the sidecars (those that restart always) started before them."""
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.init_containers:
        its = _amounts(container.resources.requests)
        beside = _sum((sidecars, its))
        peak = _larger(peak, beside)
        sidecars = beside if container.restart_policy == "Always" else sidecars
    running = _sum((sidecars, *(_amounts(container.resources.requests) for container in spec.containers)))
    whole = {**_larger(peak, running), **_amounts(spec.resources.requests)}
    return _sum((whole, _amounts(spec.overhead)))


def _amounts(texts: Mapping[str, str | int | float]) -> Amounts:
    parsed = {name: parse_quantity(str(text)) for name, text in texts.items()}
    return {name: amount for name, amount in parsed.items() if amount is not None}


def _larger(first: Amounts, second: Amounts) -> Amounts:
    return {name: max(first.get(name, _ZERO), second.get(name, _ZERO)) for name in {*first, *second}}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    known = tuple(parts)
    names = {name for part in known for name in part}
    return {name: sum((part.get(name, _ZERO) for part in known), _ZERO) for name in names}


def _gauge(kind: Kind, name: str, amount: Decimal) -> Gauge:
    return Gauge(
        "perennial_reserved",
        "Requests of the pods that are on a node and have not ended: cores of cpu, bytes of memory, number of others "
        "such as nvidia.com/gpu.",
        float(amount),
        (("kind", kind.kind), ("resource", name)),
    )
