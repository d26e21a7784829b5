"""The record of a revision in the annotations of its Deployment.

It makes a Deployment readable without `status`: a status that was edited or emptied loses no model that serves, and a
revision that the present spec no longer describes keeps its port and its agent image.
"""

from pydantic import ValidationError

from perennial.api.kubernetes import Deployment
from perennial.api.modeldeployment.revisions import Revision
from perennial.core.labels import (
    AGENT_IMAGE_ANNOTATION,
    CHAIN_ANNOTATION,
    GRPC_PORT_ANNOTATION,
    MODEL_DIGEST_ANNOTATION,
    MODEL_RUN_ANNOTATION,
    MODEL_URI_ANNOTATION,
    PORT_ANNOTATION,
    REVISION_LABEL,
    SCHEME_ANNOTATION,
)
from perennial.serving.observe import ModelVersion

HTTPS = "https"


def annotations_of(
    revision: Revision, port: int, agent_image: str, *, grpc_port: int | None = None, secure: bool = False
) -> dict[str, str]:
    """Write the record of a revision."""
    return {
        MODEL_URI_ANNOTATION: revision.uri,
        MODEL_DIGEST_ANNOTATION: revision.digest,
        **({MODEL_RUN_ANNOTATION: revision.run} if revision.run else {}),
        **({CHAIN_ANNOTATION: revision.chain} if revision.chain else {}),
        PORT_ANNOTATION: str(port),
        **({GRPC_PORT_ANNOTATION: str(grpc_port)} if grpc_port is not None else {}),
        **({SCHEME_ANNOTATION: HTTPS} if secure else {}),
        AGENT_IMAGE_ANNOTATION: agent_image,
    }


def recorded_revision(deployment: Deployment, since: str) -> Revision | None:
    """Read the revision from the record of its Deployment; None where the record is missing or invalid."""
    annotations = deployment.metadata.annotations
    try:
        version = ModelVersion(
            uri=annotations.get(MODEL_URI_ANNOTATION, ""),
            digest=annotations.get(MODEL_DIGEST_ANNOTATION, ""),
            run=annotations.get(MODEL_RUN_ANNOTATION),
            chain=annotations.get(CHAIN_ANNOTATION),
        )
    except ValidationError:
        return None
    return Revision(
        name=deployment.metadata.name,
        hash=deployment.metadata.labels.get(REVISION_LABEL, ""),
        uri=version.uri,
        digest=version.digest,
        run=version.run,
        chain=version.chain,
        since=since,
    )


def recorded_port(deployment: Deployment) -> int | None:
    """Read the port that takes requests; None where the record is missing or invalid."""
    return _number(deployment, PORT_ANNOTATION)


def recorded_grpc_port(deployment: Deployment) -> int | None:
    """Read the port of gRPC; None where there is none or the record is invalid."""
    return _number(deployment, GRPC_PORT_ANNOTATION)


def _number(deployment: Deployment, annotation: str) -> int | None:
    text = deployment.metadata.annotations.get(annotation, "")
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) <= 65535 else None  # noqa: PLR2004


def recorded_tls(deployment: Deployment) -> bool:
    """Tell whether the server of the revision terminates TLS."""
    return deployment.metadata.annotations.get(SCHEME_ANNOTATION) == HTTPS


def recorded_agent(deployment: Deployment) -> str | None:
    """Read the image of the agent containers."""
    return deployment.metadata.annotations.get(AGENT_IMAGE_ANNOTATION)
