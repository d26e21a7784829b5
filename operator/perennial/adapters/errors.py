"""Errors of requests to the API server, classified for callers."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_BAD_CONTENT = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_TERMINATING = "NamespaceTerminating"


class ClusterConfigError(Exception):
    """No usable configuration of the API server: no kubeconfig, an invalid one, or an unknown context."""


class NotLeader(Exception):
    """A write was not sent, because this process does not hold the lease."""


class ApiError(Exception):
    """A request that the API server rejected, or that did not reach it (`status` 0).

    `retry_after` is in seconds, from the header of a 429 or 503. Messages contain no credentials: they are the
    server's message, or the network error.
    """

    def __init__(
        self,
        request: str,
        status: int,
        reason: str,
        message: str,
        *,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        """Format the message from request, status, reason and message."""
        super().__init__(f"{request}: {status or 'no response'} {reason}: {message}")
        self.request = request
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind does not exist."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def gone(self) -> bool:
        """The object or its namespace does not exist, but its kind does."""
        return self.not_found and self.reason == "NotFound"

    @property
    def conflict(self) -> bool:
        """A newer version, another uid, or the name is taken."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def namespace_ending(self) -> bool:
        """The namespace is being deleted, so nothing can be created in it."""
        return _TERMINATING in self.causes or (
            self.status == HTTPStatus.FORBIDDEN and "being terminated" in self.message
        )

    @property
    def quota_exceeded(self) -> bool:
        """A ResourceQuota is exceeded; resolved when other objects are deleted or the quota is raised."""
        return self.status == HTTPStatus.FORBIDDEN and "exceeded quota" in self.message

    @property
    def too_large(self) -> bool:
        """The request exceeds the limit of the API server (413) or of etcd, which is reported as a server error."""
        return self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or "request is too large" in self.message

    @property
    def rejected(self) -> bool:
        """The object was rejected: invalid fields, a LimitRange, or an admission policy."""
        denied = self.status == HTTPStatus.FORBIDDEN and (
            "denied" in self.message or "admission" in self.message or "usage per" in self.message
        )
        return self.status in _BAD_CONTENT or denied

    @property
    def forbidden(self) -> bool:
        """The operator lacks a permission."""
        return self.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED)


def from_status(
    request: str, status: int, phrase: str, body: Any, headers: Mapping[str, str] | None = None
) -> ApiError:
    """Build the error of a response; the body is a `Status` object, or anything that a proxy sent."""
    document = body if isinstance(body, dict) else {}
    details = document.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return ApiError(
        request,
        status,
        str(document.get("reason") or phrase),
        str(document.get("message") or "the API server gave no message"),
        retry_after=_seconds((headers or {}).get("Retry-After")),
        causes=tuple(str(item.get("reason")) for item in causes or () if isinstance(item, dict)),
    )


def _seconds(text: str | None) -> float | None:
    """Parse the seconds of a `Retry-After` header; API servers do not use its date form."""
    return float(text) if text is not None and text.isdigit() else None
