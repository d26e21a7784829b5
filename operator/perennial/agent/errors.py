"""Every way in which storage or the disk can fail, brought to one row of `core.failures`."""

import errno
import ssl

from botocore import exceptions as boto
from urllib3 import exceptions as http

from perennial.core.failures import (
    ACCESS_DENIED,
    BUCKET_NOT_FOUND,
    CONFIG_INVALID,
    ENDPOINT_UNREACHABLE,
    OBJECT_NOT_FOUND,
    OUT_OF_SPACE,
    TLS_FAILED,
    TRANSFER_FAILED,
    UNEXPECTED,
    AgentFailure,
)

_CODES: dict[str, AgentFailure] = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "AllAccessDisabled",
            "AuthorizationHeaderMalformed",
            "403",
            "401",
        ),
        ACCESS_DENIED,
    ),
    "NoSuchBucket": BUCKET_NOT_FOUND,
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "404"), OBJECT_NOT_FOUND),
}
_SERVER_ERROR = 500
_TRY_AGAIN = frozenset({408, 412, 429})
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

BROKEN_STREAMS: tuple[type[Exception], ...] = (
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.ConnectTimeoutError,
    boto.HTTPClientError,
    http.ProtocolError,
    http.ReadTimeoutError,
    http.IncompleteRead,
    ConnectionError,
    TimeoutError,
)
"""What is raised when a transfer that had begun breaks off; reading on from there is worth a try."""


class AgentError(Exception):
    """The agent cannot go on. Carries the row of the table and what happened, where."""

    def __init__(self, failure: AgentFailure, message: str) -> None:
        """Keep both; `str()` gives the message alone."""
        super().__init__(message)
        self.failure = failure
        self.message = message


def classify(error: BaseException, uri: str) -> AgentError:  # noqa: PLR0911 - one line per kind of error
    """Return the agent's own error for anything that was raised while working on a URI."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, boto.ClientError):
        return _refusal(error, uri)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return AgentError(OUT_OF_SPACE, f"no room left while writing {uri}: {error.strerror}")
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError | boto.TokenRetrievalError):
        return AgentError(ACCESS_DENIED, f"there are no credentials for {uri}: set storage.secretName")
    if isinstance(error, boto.SSLError | ssl.SSLError | http.SSLError):
        return AgentError(TLS_FAILED, f"no trusted connection to the storage of {uri}: {_brief(error)}")
    if isinstance(error, boto.EndpointConnectionError | boto.ConnectTimeoutError | boto.ProxyConnectionError):
        return AgentError(ENDPOINT_UNREACHABLE, f"the storage of {uri} does not answer: {_brief(error)}")
    if isinstance(error, BROKEN_STREAMS):
        return AgentError(TRANSFER_FAILED, f"the transfer of {uri} broke off: {_brief(error)}")
    if isinstance(error, boto.ParamValidationError | ValueError):
        return AgentError(CONFIG_INVALID, f"{uri} cannot be used: {_brief(error)}")
    return AgentError(UNEXPECTED, f"{type(error).__name__} while working on {uri}: {_brief(error)}")


def _refusal(error: boto.ClientError, uri: str) -> AgentError:
    """Return what an answer of the storage means."""
    response = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said = response.get("Error", {}).get("Message") or code
    failure = _CODES.get(code) or _CODES.get(str(status))
    if failure is None and (status >= _SERVER_ERROR or status in _TRY_AGAIN or code in {"SlowDown", "RequestTimeout"}):
        failure = TRANSFER_FAILED
    return AgentError(failure or UNEXPECTED, f"{uri}: the storage answered {status or code}: {_brief(said)}")


def _brief(text: object) -> str:
    return " ".join(str(text).split())[:300]
