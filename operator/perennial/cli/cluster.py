"""Requests to the API server with the user's kubeconfig. Only this module of `cli` imports the Kubernetes client."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes import client as untyped_client
from kubernetes import config as untyped_config
from kubernetes.config.config_exception import ConfigException

from perennial.api.common.base import GROUP
from perennial.cli.errors import CliError
from perennial.core.kinds import Kind, Raw

client: Any = untyped_client
config: Any = untyped_config

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 400, 401, 403, 404
_SECONDS = 15
_PAGE = 500
_SHORT = 500
_NO_RESOURCE = "could not find the requested resource"


class Refused(CliError):
    """A request that the API server has answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the HTTP status."""
        super().__init__(message)
        self.status = status


class Cluster:
    """Reads and changes objects. Every failure is a `CliError` that tells the next step."""

    def __init__(self, api: Any, namespace: str) -> None:
        """Wrap a configured API client; use `connect`."""
        self._api = api
        self.namespace = namespace

    def list(self, kind: Kind, namespace: str | None = None, selector: str = "") -> tuple[Raw, ...]:
        """List the objects of a kind in a namespace, sorted by name; labels are selected by `selector`."""
        query: dict[str, Any] = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
        found: list[Raw] = []
        path = _path(kind, namespace or self.namespace)
        while True:
            page = self._json("GET", f"{path}?{urlencode(query)}")
            found += page.get("items") or []
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return tuple(sorted(found, key=lambda item: str(item["metadata"]["name"])))
            query["continue"] = token

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Raw:
        """Read one object."""
        found: Raw = self._json("GET", f"{_path(kind, namespace or self.namespace)}/{name}")
        return found

    def annotate(self, kind: Kind, name: str, annotations: Mapping[str, str | None]) -> Raw:
        """Set annotations; None removes one. Other fields stay as they are."""
        body = {"metadata": {"annotations": dict(annotations)}}
        path = f"{_path(kind, self.namespace)}/{name}"
        changed: Raw = self._json("PATCH", path, body, "application/merge-patch+json")
        return changed

    def create(self, kind: Kind, body: Raw, namespace: str | None = None) -> Raw:
        """Create an object."""
        created: Raw = self._json("POST", _path(kind, namespace or self.namespace), body)
        return created

    def delete(self, kind: Kind, name: str) -> None:
        """Delete an object and its dependents."""
        self._json("DELETE", f"{_path(kind, self.namespace)}/{name}?propagationPolicy=Background")

    def user(self) -> str:
        """Name under which the API server knows the user."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self._json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body)
        return str(answer["status"]["userInfo"]["username"])

    def version(self) -> str:
        """Version of the API server."""
        return str(self._json("GET", "/version").get("gitVersion", "unknown"))

    def logs(self, pod: str, container: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Read the log of a container line by line, each with its time; empty if there is none."""
        query = {
            "container": container,
            "timestamps": "true",
            **({"follow": "true"} if follow else {}),
            **({"tailLines": str(tail)} if tail is not None else {}),
        }
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}/log?{urlencode(query)}"
        try:
            answer = self._call("GET", path, None, "application/json", None if follow else _SECONDS)
        except Refused as error:
            if error.status in {_BAD_REQUEST, _NOT_FOUND}:  # not started yet, or gone meanwhile
                return
            raise
        rest = b""
        for chunk in answer.stream(2**16):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")

    def _json(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        return json.loads(self._call(method, path, body, content, _SECONDS).read())

    def _call(self, method: str, path: str, body: Any, content: str, seconds: int | None) -> Any:
        """Call; the path may contain a query. Return the response with its body unread.

        Raises:
            CliError: no answer, or a refusal.
        """
        request = self._api.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", "Content-Type": content},
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            answer = self._api.call_api(*request, _request_timeout=(_SECONDS, seconds)).response
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            host = self._api.configuration.host
            raise CliError(f"the API server {host} cannot be reached: {_cause(error)}. Check the context") from error
        if answer.status >= _BAD_REQUEST:
            raise Refused(answer.status, _explained(answer.status, answer.read(), path))
        return answer


def connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> Cluster:
    """Connect as kubectl would: the given file, else KUBECONFIG, else ~/.kube/config, else the pod's account."""
    try:
        api = config.new_client_from_config(str(kubeconfig) if kubeconfig else None, context)
        chosen = namespace or _context_namespace(kubeconfig, context)
    except ConfigException as error:
        if kubeconfig is not None or context is not None:
            raise CliError(f"the kubeconfig cannot be used: {error}") from error
        try:
            config.load_incluster_config()
        except ConfigException:
            raise CliError("there is no kubeconfig: set KUBECONFIG or --kubeconfig") from error
        api, chosen = client.ApiClient(), namespace or "default"
    return Cluster(api, chosen)


def _context_namespace(kubeconfig: Path | None, context: str | None) -> str:
    contexts, active = config.list_kube_config_contexts(str(kubeconfig) if kubeconfig else None)
    chosen = next((item for item in contexts if item["name"] == context), active)
    return str((chosen.get("context") or {}).get("namespace") or "default")


def _path(kind: Kind, namespace: str) -> str:
    base = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    return f"{base}/namespaces/{namespace}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason if reason is not None else error)


def _explained(status: int, body: bytes, path: str) -> str:
    """Say what a refused request means to a person."""
    said = _message_of(status, body)
    if status == _UNAUTHORIZED:
        return "the API server does not accept the credentials of the kubeconfig: log in again"
    if status == _FORBIDDEN:
        return f"not allowed: {said}. The page who-may-do-what of the documentation lists the roles"
    if status == _NOT_FOUND and f"/apis/{GROUP}/" in path and _NO_RESOURCE in said:
        return "the cluster has no resources of perennial.dev: install the Helm chart first"
    return said


def _message_of(status: int, body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, TypeError, KeyError):
        text = body.decode(errors="replace").strip()
        return text if text and len(text) < _SHORT else f"the API server answered with status {status}"
