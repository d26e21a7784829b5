"""The real Contour: its control plane from its Go module and Envoy from a wheel, as two containers of one pod."""

import json
from typing import Any

from perennial.core.labels import FEATURES_ANNOTATION
from tests.e2e.support import gateway
from tests.e2e.support.envoy_image import build_envoy
from tests.e2e.support.gateway import GATEWAY, Entrance
from tests.e2e.support.site import Site
from tools.cluster import api

_NAME = "contour"
_SYSTEM = "contour-system"
_CONTROLLER = "projectcontour.io/gateway-controller"
_CONTROL_PORT = 8001
_HEALTH_PORT = 8000
_STATUS_PORT = 8002
_LISTENER_PORT = 80
_PORT = _LISTENER_PORT + 8000
"""Where Envoy listens: Contour adds so much to the port of the Gateway's listener."""
_NOT_NEEDED = ("extensionservices", "tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies")
"""Kinds that the test does not use; Contour asks for versions of some that no longer exist."""
_VOLUMES = {"settings": "/settings", "bootstrap": "/bootstrap", "admin": "/admin"}


def install_contour(site: Site) -> Entrance:
    """Bring Contour up with one Envoy; it is ready to take routes."""
    control, archive = api.program_image("contour")
    proxy = build_envoy()
    for found in (archive, proxy.archive):
        api.load_image(site.cluster.name, found)
    site.kubectl("create", "namespace", _SYSTEM, check=False)
    crds = api.module_folder("contour") / "examples" / "contour" / "01-crds.yaml"
    site.kubectl("apply", "--server-side", "-f", str(crds))
    site.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    gateway.apply(
        site,
        *gateway.account(_NAME, _SYSTEM),
        _settings(),
        *gateway.gateway(_NAME, _SYSTEM, _CONTROLLER, _LISTENER_PORT),
        _deployment(control, proxy.name),
        gateway.service(_NAME, _SYSTEM, _PORT),
    )
    site.kubectl("rollout", "status", f"deployment/{_NAME}", "--timeout=600s", namespace=_SYSTEM)
    gateway.until_accepted(site, _SYSTEM)
    return Entrance(_NAME, _SYSTEM, gateway.address(site, _NAME, _SYSTEM))


def name_features(site: Site, *names: str) -> None:
    """Say what the class supports, as an administrator does: Contour lists nothing."""
    site.kubectl("annotate", "--overwrite", "gatewayclass", _NAME, f"{FEATURES_ANNOTATION}={','.join(names)}")


def _settings() -> dict[str, Any]:
    content = {"gateway": {"gatewayRef": {"name": GATEWAY, "namespace": _SYSTEM}}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _NAME, "namespace": _SYSTEM},
        "data": {"contour.yaml": json.dumps(content)},
    }


def _deployment(control: str, proxy: str) -> dict[str, Any]:
    """Both in one pod, so that they need no certificates to speak to each other."""
    mounts = [{"name": name, "mountPath": path} for name, path in _VOLUMES.items()]
    common = {"imagePullPolicy": "IfNotPresent", "volumeMounts": mounts}
    program = {"image": control, "env": [{"name": "CONTOUR_NAMESPACE", "value": _SYSTEM}], **common}
    at = (f"--xds-port={_CONTROL_PORT}", "--xds-address=127.0.0.1")
    serve = ["serve", "--incluster", "--insecure", "--disable-leader-election", "--config-path=/settings/contour.yaml"]
    without = [f"--disable-feature={name}" for name in _NOT_NEEDED]
    health = {"httpGet": {"path": "/healthz", "port": _HEALTH_PORT}, **gateway.PATIENT}
    ready = {"httpGet": {"path": "/ready", "port": _STATUS_PORT}, **gateway.PATIENT}
    node = ["--service-cluster", _SYSTEM, "--service-node", _NAME]
    return gateway.deployment(
        _NAME,
        _SYSTEM,
        {"name": _NAME, **program, "command": ["/contour", *serve, *at, *without], "readinessProbe": health},
        {
            "name": "envoy",
            "image": proxy,
            **common,
            "command": ["envoy", "-c", "/bootstrap/envoy.json", *node],
            "ports": [{"containerPort": _PORT}],
            "readinessProbe": ready,
        },
        initContainers=[
            {
                "name": "bootstrap",
                **program,
                "command": ["/contour", "bootstrap", "/bootstrap/envoy.json", "--xds-resource-version=v3", *at],
            }
        ],
        volumes=[
            {"name": "settings", "configMap": {"name": _NAME}},
            {"name": "bootstrap", "emptyDir": {}},
            {"name": "admin", "emptyDir": {}},
        ],
        # Containers of different users share the folder of Envoy's socket and its settings.
        securityContext={"runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534},
    )
