"""Which annotations and pod options the installation's settings allow in a spec."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from perennial.api.contract.settings import PodRules
from perennial.api.modeldeployment.resource import ModelDeployment, ModelDeploymentSpec
from perennial.core.pod_options import refusal, refused_keys
from perennial.core.problem import Problem
from perennial.serving import reasons


def refused_annotations(spec: ModelDeploymentSpec, allowed: Iterable[str]) -> Problem | None:
    """Check the annotations of the spec against the installation's list of keys; None when all are allowed."""
    asked = {
        "spec.podAnnotations": spec.pod_annotations or {},
        "spec.service.annotations": (spec.service.annotations if spec.service else None) or {},
    }
    said = refused_keys(asked, allowed)
    return Problem(reasons.ANNOTATION_NOT_ALLOWED, said, fatal=True) if said is not None else None


def refused_pods(spec: ModelDeploymentSpec, rules: PodRules) -> Problem | None:
    """Check the pod options of the spec against the installation's rules; None when all are allowed."""
    said = refusal(spec, rules)
    return Problem(reasons.PODS_NOT_ALLOWED, said, fatal=True) if said is not None else None


def without_refused(resource: ModelDeployment, allowed: Iterable[str]) -> ModelDeployment:
    """Drop the annotations that the installation does not allow, so that what serves can still be updated."""
    spec, patterns = resource.spec, tuple(allowed)
    service = spec.service
    if service is not None:
        service = service.model_copy(update={"annotations": _allowed(service.annotations, patterns)})
    kept = {"pod_annotations": _allowed(spec.pod_annotations, patterns), "service": service}
    return resource.model_copy(update={"spec": spec.model_copy(update=kept)})


def _allowed(annotations: dict[str, str] | None, patterns: tuple[str, ...]) -> dict[str, str] | None:
    """Keep the allowed ones. None left equals unset, and must give the same revision hash."""
    kept = (annotations or {}).items()
    return {key: value for key, value in kept if any(fnmatchcase(key, item) for item in patterns)} or None
