"""The real Traefik, from its Go module as an image."""

from tests.e2e.support import gateway
from tests.e2e.support.gateway import Entrance
from tests.e2e.support.site import Site
from tools.cluster import api

_NAME = "traefik"
_SYSTEM = "gateways"
_PORT = 8000
_CONTROLLER = "traefik.io/gateway-controller"


def install_traefik(site: Site) -> Entrance:
    """Bring Traefik up; it is ready to take routes."""
    image, archive = api.program_image("traefik")
    api.load_image(site.cluster.name, archive)
    site.kubectl("create", "namespace", _SYSTEM, check=False)
    arguments = (f"--entrypoints.web.address=:{_PORT}", "--providers.kubernetesgateway", "--log.level=INFO")
    container = {
        "name": _NAME,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/traefik", *arguments],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, **gateway.PATIENT},
    }
    gateway.apply(
        site,
        *gateway.account(_NAME, _SYSTEM),
        gateway.deployment(_NAME, _SYSTEM, container),
        gateway.service(_NAME, _SYSTEM, _PORT),
        # The port of a listener is the one of Traefik's entry point.
        *gateway.gateway(_NAME, _SYSTEM, _CONTROLLER, _PORT),
    )
    site.kubectl("rollout", "status", f"deployment/{_NAME}", "--timeout=600s", namespace=_SYSTEM)
    gateway.until_accepted(site, _SYSTEM)
    return Entrance("traefik", _SYSTEM, gateway.address(site, _NAME, _SYSTEM))
