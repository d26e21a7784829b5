"""What can go wrong between the operator and the API server, as types that callers can tell apart."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

_BAD_CONTENT = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_TERMINATING = "NamespaceTerminating"


class ClusterConfigError(Exception):
    """There is no usable way to the API server: no kubeconfig, a broken one, or an unknown context."""


class NotLeader(Exception):
    """A write was refused before it left, because this process does not hold the lease."""


class ApiError(Exception):
    """A request that the API server refused, or that never reached it (`status` 0).

    `retry_after` is in seconds, from the header of a 429 or 503. Messages hold no credentials: they are
    the server's own words, or the name of the network error.
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
        """Keep what callers decide by."""
        super().__init__(f"{request}: {status or 'no answer'} {reason}: {message}")
        self.request = request
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind is not there."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def gone(self) -> bool:
        """The object or its namespace is not there, in the words of an API server that does know the kind."""
        return self.not_found and self.reason == "NotFound"

    @property
    def conflict(self) -> bool:
        """Someone else was faster: another version, another uid, or the name is taken."""
        return self.status == HTTPStatus.CONFLICT

    @property
    def namespace_ending(self) -> bool:
        """The namespace is being deleted, so nothing new can be made in it."""
        return _TERMINATING in self.causes or (
            self.status == HTTPStatus.FORBIDDEN and "being terminated" in self.message
        )

    @property
    def quota_exceeded(self) -> bool:
        """A ResourceQuota has no room left: passes by itself once something else is gone."""
        return self.status == HTTPStatus.FORBIDDEN and "exceeded quota" in self.message

    @property
    def rejected(self) -> bool:
        """The object itself was refused: invalid fields, a LimitRange, or an admission policy."""
        denied = self.status == HTTPStatus.FORBIDDEN and (
            "denied" in self.message or "admission" in self.message or "usage per" in self.message
        )
        return self.status in _BAD_CONTENT or denied

    @property
    def forbidden(self) -> bool:
        """The operator's own permissions do not suffice."""
        return self.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED)


def from_status(
    request: str, status: int, phrase: str, body: Any, headers: Mapping[str, str] | None = None
) -> ApiError:
    """Return the error of an answer; the body is a `Status` object, or anything a proxy may have sent."""
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
    """Return the whole seconds of a `Retry-After` header; its date form is not used by API servers."""
    return float(text) if text is not None and text.isdigit() else None
