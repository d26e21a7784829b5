"""Network access to a ModelDeployment: annotations of the Service, TLS, and who may call."""

from typing import Annotated

from pydantic import Field

from perennial.api.common.base import Model, ObjectName, Rule, rules
from perennial.api.common.pod import LabelKey
from perennial.api.common.pod_options import Annotations

Labels = Annotated[dict[LabelKey, Annotated[str, Field(max_length=63)]], Field(min_length=1, max_length=8)]


class ServiceOptions(Model):
    """The Service in front of the pods."""

    annotations: Annotations | None = Field(
        None,
        description="Annotations of the Service. The installation must allow their keys (config.allowedAnnotations).",
    )


class Tls(Model):
    """Certificate for a server that terminates TLS itself."""

    secret_name: ObjectName = Field(
        description="Secret of type kubernetes.io/tls in this namespace, mounted at /perennial-tls. "
        "PERENNIAL_TLS_CERT and "
        "PERENNIAL_TLS_KEY contain the paths of its files; the server must speak HTTPS on its port."
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
        None, description="Labels of the namespace of the pods. Unset: the namespace of this resource."
    )
    pod_labels: Labels | None = Field(None, description="Labels of the pods. Unset: all pods of the namespace.")


class Access(Model):
    """Who may call, as a NetworkPolicy. Takes effect only if the cluster's network plugin enforces NetworkPolicies."""

    allow: Annotated[tuple[Peer, ...], Field(max_length=16)] = Field(
        (),
        description="Pods that may send requests. Empty: none, except processes on the same node. A separate metrics "
        "port "
        "of the server stays open to all pods.",
    )
