"""The few calls that `up` and `status` make to the API server, by the standard library alone."""

import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.errors import ClusterError, tail

DNS_PORT = 53
DNS_SECONDS = 1.0


class ApiError(ClusterError):
    """The API server answered with an error; `status` is the HTTP code, 0 when there was no answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the API server answered {status}: {message}" if status else message)
        self.status = status


@dataclass(frozen=True)
class Api:
    """An administrator's access to one API server."""

    server: str
    pki: Path

    def call(self, method: str, path: str, body: object = None, kind: str = "application/json") -> bytes:
        """One request.

        Raises:
            ApiError: an answer of 400 and above, or none.
        """
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        context.load_cert_chain(str(self.pki / "admin.crt"), str(self.pki / "admin.key"))
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.server + path, data, {"Content-Type": kind}, method=method)
        # Proxies of the environment are not for a cluster on this machine.
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=10) as reply:
                return bytes(reply.read())
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, error.read().decode(errors="replace")[:400]) from error
        except OSError as error:
            raise ApiError(0, str(error)) from error

    def ready(self) -> bool:
        """Whether /readyz says so."""
        return self.succeeds("/readyz")

    def succeeds(self, path: str) -> bool:
        """Whether a GET is answered well."""
        try:
            self.call("GET", path)
        except ApiError:
            return False
        return True

    def apply(self, path: str, document: object) -> None:
        """Server-side apply.

        Raises:
            ApiError: refused.
        """
        query = "?fieldManager=perennial-tools&force=true"
        self.call("PATCH", path + query, document, "application/apply-patch+yaml")

    def ready_nodes(self) -> list[str]:
        """Names of the nodes whose condition Ready is true.

        Raises:
            ApiError: no answer.
        """
        items = json.loads(self.call("GET", "/api/v1/nodes"))["items"]
        return [
            item["metadata"]["name"]
            for item in items
            for condition in item.get("status", {}).get("conditions", [])
            if condition["type"] == "Ready" and condition["status"] == "True"
        ]

    def warnings(self) -> str:
        """The last warnings among the system's events, for the end of an error message; empty without an answer."""
        try:
            items = json.loads(self.call("GET", "/api/v1/namespaces/kube-system/events"))["items"]
        except ApiError:
            return ""
        found = {f"{item['involvedObject']['name']}: {item['message']}" for item in items if item["type"] == "Warning"}
        return "\n" + tail("\n".join(sorted(found)), lines=6) if found else ""


def resolves(server: str, name: str) -> bool:
    """Whether a DNS server answers an A query for `name` with at least one address."""
    header = b"\x50\x4c\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.strip(".").split("."))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(DNS_SECONDS)
        try:
            link.sendto(header + labels + b"\x00\x00\x01\x00\x01", (server, DNS_PORT))
            reply = link.recv(512)
        except OSError:
            return False
    return reply[:2] == header[:2] and reply[3] & 0x0F == 0 and int.from_bytes(reply[6:8], "big") > 0


def _yet(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except ApiError:
        return False


@dataclass(frozen=True)
class Patience:
    """Waits for a cluster that is starting, and says what it knows when the waiting is in vain."""

    api: Api
    alive: Callable[[], bool]
    logs: Path

    def until(self, ready: Callable[[], bool], what: str, seconds: float) -> None:
        """Asks until it is so.

        Raises:
            ClusterError: the time is over, or the cluster's process 1 has ended.
        """
        deadline = time.monotonic() + seconds
        while not _yet(ready):
            if not self.alive():
                raise ClusterError(f"the cluster ended while waiting for {what}", where=str(self.logs))
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"{what} did not come within {seconds:.0f} s{self.api.warnings()}",
                    where=str(self.logs),
                    fix="read the logs there; a machine that is very busy may need a second try",
                )
            time.sleep(0.2)
