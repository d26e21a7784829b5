"""The connection to the API server: address, credentials, and the HTTP sessions that share them.

`kubernetes.aio` reads kubeconfigs and service-account tokens, refreshes tokens and creates the TLS context. Objects are
sent by its HTTP client as plain dicts, since its typed models cost four times the CPU of the request itself.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client
from kubernetes.aio import config as untyped_config
from kubernetes.aio.config.kube_config import KubeConfigLoader

from perennial.adapters.errors import ClusterConfigError

config: Any = untyped_config
_log = logging.getLogger(__name__)
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_CONNECTIONS = 128
"""More than workers, so that no write waits for a connection after its leadership check."""

StreamListener = Callable[[str], None]


class Connection:
    """Address, TLS and credentials of one API server."""

    def __init__(self, configuration: Any, loader: KubeConfigLoader | None, *, use_proxy_env: bool) -> None:
        """Wrap a loaded configuration; use `Connection.open`."""
        self.server: str = configuration.host.rstrip("/")
        self.namespace = _namespace_of(loader)
        self._configuration = configuration
        self._api: Any = client.ApiClient(configuration)
        self._use_proxy_env = use_proxy_env
        self._refresh = asyncio.create_task(_keep_fresh(loader, configuration), name="credentials")

    @classmethod
    async def open(
        cls, kubeconfig: Path | None = None, context: str | None = None, *, use_proxy_env: bool = False
    ) -> "Connection":
        """Connect with the given kubeconfig, else the pod's service account, else the default kubeconfig.

        Raises:
            ClusterConfigError: there are no usable credentials; the message says what was tried.
        """
        configuration = client.Configuration()
        # Reading proxy variables and ~/.netrc costs two thread switches per request.
        configuration.client_session_kwargs = {"trust_env": use_proxy_env}
        configuration.connection_pool_maxsize = _CONNECTIONS
        loader = await _load(configuration, kubeconfig, context)
        try:
            return cls(configuration, loader, use_proxy_env=use_proxy_env)
        except OSError as error:  # a missing or invalid certificate is found when the TLS context is created
            raise ClusterConfigError(f"the certificates of the kubeconfig cannot be used: {error}") from error

    @property
    def http(self) -> Any:
        """The HTTP client of `kubernetes.aio`, for requests with raw bodies."""
        return self._api.rest_client

    async def authorization(self) -> str | None:
        """Value of the Authorization header, refreshed if necessary; None with client certificates."""
        token: str | None = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return token

    def watch_session(self, on_stream: StreamListener) -> aiohttp.ClientSession:
        """Create a session for watches, with fresh credentials on every request.

        `on_stream` is called with the path when a watch is established.
        """

        async def authorise(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            token = await self.authorization()
            if token:
                request.headers["Authorization"] = token
            response = await handler(request)
            if response.ok and request.url.query.get("watch") == "true":
                on_stream(request.url.path)
            return response

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._api.rest_client.ssl_context),
            proxy=self._configuration.proxy,
            trust_env=self._use_proxy_env,
            middlewares=(authorise,),
            read_bufsize=2**20,
        )

    async def close(self) -> None:
        """Close all sessions."""
        self._refresh.cancel()
        with suppress(asyncio.CancelledError):
            await self._refresh
        await self._api.close()


async def _load(configuration: Any, kubeconfig: Path | None, context: str | None) -> KubeConfigLoader | None:
    """Load the configuration; the loader is None for a pod's service account."""
    explicit = kubeconfig is not None or context is not None or bool(os.environ.get("KUBECONFIG"))
    try:
        if not explicit and _in_a_pod():
            config.load_incluster_config(configuration)
            return None
        path = None if kubeconfig is None else str(kubeconfig)
        loader: KubeConfigLoader = await config.load_kube_config(
            config_file=path, context=context, client_configuration=configuration, persist_config=False
        )
        return loader
    except Exception as error:  # the loader raises many types for an invalid kubeconfig
        where = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config, or the pod's service account"
        raise ClusterConfigError(
            f"no usable configuration of the API server in {where}: {error}. "
            "Set KUBECONFIG or --kubeconfig, and --context if the file has several contexts"
        ) from error


def _in_a_pod() -> bool:
    return "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_ACCOUNT.is_dir()


def _namespace_of(loader: KubeConfigLoader | None) -> str:
    """Namespace of the credentials."""
    if loader is None:
        with suppress(OSError):
            return (_SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or "default"
        return "default"
    context = loader.current_context.get("context") or {}
    return str(context.get("namespace") or "default")


async def _keep_fresh(loader: KubeConfigLoader | None, configuration: Any) -> None:
    """Renew tokens from exec plugins of a kubeconfig; return at once for other credentials."""
    while loader is not None:
        try:
            await config.refresh_token(loader, configuration)
            return
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the present token may still be valid
            _log.warning("the kubeconfig's credentials cannot be renewed, retrying: %s", error)
            await asyncio.sleep(10)
