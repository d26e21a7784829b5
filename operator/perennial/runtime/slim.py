"""Makes objects small before they are kept: thousands of them stay in memory for as long as the process lives."""

from typing import Any

from perennial.core.kinds import JOB, POD, Kind, Raw

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"  # the whole object once more, as text
_MOST_SHARED = 8192
_NEVER_READ = {
    # Written once and never compared: rooms read how Jobs and pods fare, not what they were made of.
    JOB.kind: ("template",),
    POD.kind: ("containers", "initContainers", "volumes", "affinity", "tolerations"),
}


class Slimmer:
    """Takes away what nobody reads, and shares the names of fields between objects.

    Every parsed document has its own copies of `metadata`, `resourceVersion` and all other names, which together take
    more memory than the values. The pool of shared names is bounded, since labels and parameters are names as well.
    """

    def __init__(self) -> None:
        """Start with nothing to share."""
        self._names: dict[str, str] = {}

    def slim(self, kind: Kind, raw: Raw) -> Raw:
        """Return the object as it is kept; the one given is not to be used any more."""
        metadata = raw["metadata"]
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if annotations is not None:
            annotations.pop(_LAST_APPLIED, None)
        spec = raw.get("spec")
        if spec is not None:
            for name in _NEVER_READ.get(kind.kind, ()):
                spec.pop(name, None)
        kept: Raw = self._share(raw)
        return kept

    def _share(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self._name(name): self._share(item) for name, item in value.items()}
        if isinstance(value, list):
            return [self._share(item) for item in value]
        return value

    def _name(self, name: str) -> str:
        known = self._names.get(name)
        if known is not None:
            return known
        if len(self._names) < _MOST_SHARED:
            self._names[name] = name
        return name
