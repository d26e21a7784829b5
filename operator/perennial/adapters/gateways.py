"""Asks the API server what the gateway of a route supports."""

from pydantic import ValidationError

from perennial.adapters.cluster import Cluster
from perennial.adapters.errors import ApiError
from perennial.api.gateway import Gateway, GatewayClass
from perennial.core.kinds import GATEWAY, GATEWAY_CLASS
from perennial.core.labels import FEATURES_ANNOTATION
from perennial.core.reads import GatewayFeatures

_FORBIDDEN = 403


async def features_of(cluster: Cluster, address: str) -> GatewayFeatures | None:
    """Read the features that the class of a Gateway has by its status or its annotation; None if there was no answer.

    Args:
        cluster: the API server.
        address: namespace and name of the Gateway, with a slash between.
    """
    namespace, _, name = address.partition("/")
    try:
        gateway = await cluster.get(GATEWAY, namespace, name)
        if gateway is None:
            return GatewayFeatures(problem=f"Gateway {address} does not exist")
        class_name = Gateway.model_validate(gateway).spec.gateway_class_name
        found = await cluster.get(GATEWAY_CLASS, "", class_name) if class_name else None
        if found is None:
            return GatewayFeatures(problem=f"GatewayClass {class_name} of Gateway {address} does not exist")
        known = GatewayClass.model_validate(found)
    except ValidationError:
        return GatewayFeatures(
            problem=f"Gateway {address} or its GatewayClass is not of the form of gateway.networking/v1"
        )
    except ApiError as error:
        if error.status == _FORBIDDEN:
            why = "the operator may not read it: an installation for named namespaces has no right on GatewayClasses"
            return GatewayFeatures(problem=f"Gateway {address} and its GatewayClass are not known: {why}")
        return None
    return GatewayFeatures(frozenset((*(item.name for item in known.status.supported_features), *_annotated(known))))


def _annotated(known: GatewayClass) -> frozenset[str]:
    """Read what an administrator says that the controller has; some list nothing, as Envoy Gateway 1.9 and Contour."""
    names = known.metadata.annotations.get(FEATURES_ANNOTATION, "").split(",")
    return frozenset(name.strip() for name in names) - {""}
