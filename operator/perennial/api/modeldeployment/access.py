"""How a ModelDeployment's pods and Service meet the rest of the cluster: annotations, TLS, and who may call."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, ObjectName, Rule, rules
from perennial.api.common.pod import LabelKey

Annotations = Annotated[
    dict[str, Annotated[str, Field(max_length=1024)]],
    Field(max_length=32),
]
"""Annotations that a user may add, where the installation's settings allow their keys."""

Labels = Annotated[dict[LabelKey, Annotated[str, Field(max_length=63)]], Field(min_length=1, max_length=8)]


class ServiceOptions(Model):
    """The Service in front of the pods."""

    annotations: Annotations | None = Field(
        None, description="Annotations of the Service. Their keys must be in the installation's list."
    )


class Tls(Model):
    """A certificate for a server that speaks TLS itself."""

    secret_name: ObjectName = Field(
        description="Secret of type kubernetes.io/tls in this namespace. It is mounted at /perennial-tls; the server "
        "finds its files in PERENNIAL_TLS_CERT and PERENNIAL_TLS_KEY, and must answer HTTPS on its port."
    )


class Peer(Model):
    """Pods that may call."""

    model_config = {
        "json_schema_extra": rules(
            Rule(
                rule="has(self.namespaceLabels) || has(self.podLabels)",
                message="set namespaceLabels, podLabels, or both",
            )
        )
    }

    namespace_labels: Labels | None = Field(
        None, description="Labels that their namespace must have. Unset: this resource's own namespace."
    )
    pod_labels: Labels | None = Field(None, description="Labels that they must have. Unset: all pods there.")


class Access(Model):
    """Who may call, as a NetworkPolicy; it works where the cluster's network enforces those."""

    allow: Annotated[tuple[Peer, ...], Field(max_length=16)] = Field(
        (),
        description="Pods that may send requests. Empty: none, but for what runs on the node itself. The server's "
        "metrics port, where it is another, stays open to all.",
    )
