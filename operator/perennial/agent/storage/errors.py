"""Every way in which storage or the disk can fail, brought to one row of `core.failures`."""

import errno
import ssl

from boto3.exceptions import S3UploadFailedError
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
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
    UNSAFE_PATH,
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
            "AuthorizationQueryParametersError",
            "RequestTimeTooSkewed",
            "403",
            "401",
        ),
        ACCESS_DENIED,
    ),
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName", "PermanentRedirect", "301"), BUCKET_NOT_FOUND),
    "KeyTooLongError": UNSAFE_PATH,
    **dict.fromkeys(("NoSuchKey", "NoSuchVersion", "404"), OBJECT_NOT_FOUND),
}
_SERVER_ERROR = 500
_TRY_AGAIN = frozenset({408, 409, 412, 416, 429})
"""Too slow, too much at once, or the object changed while it was read."""
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

BROKEN_STREAMS: tuple[type[Exception], ...] = (
    boto.ResponseStreamingError,
    boto.IncompleteReadError,
    boto.ReadTimeoutError,
    boto.ConnectionClosedError,
    boto.ConnectTimeoutError,
    boto.EndpointConnectionError,
    boto.HTTPClientError,
    http.ProtocolError,
    http.ReadTimeoutError,
    http.IncompleteRead,
    ConnectionError,
    TimeoutError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
"""What is raised when a transfer that had begun breaks off; reading on from there is worth a try."""


class AgentError(Exception):
    """The agent cannot go on. Carries the row of the table and what happened, where."""

    def __init__(self, failure: AgentFailure, message: str) -> None:
        """Keep both; `str()` gives the message alone."""
        super().__init__(message)
        self.failure = failure
        self.message = message


_KINDS: tuple[tuple[tuple[type[BaseException], ...], AgentFailure, str], ...] = (
    (
        (
            boto.NoCredentialsError,
            boto.PartialCredentialsError,
            boto.TokenRetrievalError,
            boto.CredentialRetrievalError,
        ),
        ACCESS_DENIED,
        "there are no credentials for {uri}: set storage.secretName",
    ),
    ((boto.SSLError, ssl.SSLError, http.SSLError), TLS_FAILED, "no trusted connection to the storage of {uri}"),
    (
        (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError),
        ENDPOINT_UNREACHABLE,
        "the storage of {uri} does not answer",
    ),
    ((ResponseParserError,), ENDPOINT_UNREACHABLE, "what answers for {uri} does not speak S3"),
    (BROKEN_STREAMS, TRANSFER_FAILED, "the transfer of {uri} broke off"),
    ((boto.ParamValidationError, boto.InvalidRegionError), CONFIG_INVALID, "{uri} cannot be used"),
)
"""What was raised, the row it belongs to, and what is said; the first that fits counts."""


def classify(error: BaseException, uri: str) -> AgentError:
    """Return the agent's own error for anything that was raised while working on a URI."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, boto.ClientError):
        return _refusal(error, uri)
    if isinstance(error, S3UploadFailedError) and error.__context__ is not None:
        return classify(error.__context__, uri)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return AgentError(OUT_OF_SPACE, f"no room left while writing {uri}: {error.strerror}")
    for kinds, failure, said in _KINDS:
        if isinstance(error, kinds):
            return AgentError(failure, f"{said.format(uri=uri)}: {_brief(error)}")
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
    if failure is None and code == str(status):
        # Nothing in the answer but its status: a server that speaks another protocol, such as TLS on this port.
        failure = ENDPOINT_UNREACHABLE
    return AgentError(failure or UNEXPECTED, f"{uri}: the storage answered {status or code}: {_brief(said)}")


def _brief(text: object) -> str:
    return " ".join(str(text).split())[:300]
