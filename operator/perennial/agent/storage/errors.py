"""Maps errors of storage and disk to the rows of `core.failures`."""

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
"""Timeout, throttling, or an object that changed during the download."""
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

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
"""Raised when a transfer is interrupted; it can be resumed from the last byte received."""


class AgentError(Exception):
    """A command failed. Carries the row of `core.failures` and a message with the details."""

    def __init__(self, failure: AgentFailure, message: str) -> None:
        """`str()` of the error is the message alone."""
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
        "no credentials for {uri}: set storage.secretName",
    ),
    ((boto.SSLError, ssl.SSLError, http.SSLError), TLS_FAILED, "TLS connection to the storage of {uri} failed"),
    (
        (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError),
        ENDPOINT_UNREACHABLE,
        "cannot connect to the storage of {uri}",
    ),
    ((ResponseParserError,), ENDPOINT_UNREACHABLE, "the endpoint of {uri} does not respond with the S3 protocol"),
    (BROKEN_STREAMS, TRANSFER_FAILED, "the transfer of {uri} was interrupted"),
    ((boto.ParamValidationError, boto.InvalidRegionError), CONFIG_INVALID, "{uri} is invalid"),
)
"""Exception types, their row and their message; the first match applies."""


def classify(error: BaseException, uri: str) -> AgentError:
    """Convert any exception raised while accessing a URI."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, boto.ClientError):
        return _error_response(error, uri)
    if isinstance(error, S3UploadFailedError) and error.__context__ is not None:
        return classify(error.__context__, uri)
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return AgentError(OUT_OF_SPACE, f"disk full while writing {uri}: {error.strerror}")
    for kinds, failure, text in _KINDS:
        if isinstance(error, kinds):
            return AgentError(failure, f"{text.format(uri=uri)}: {_brief(error)}")
    return AgentError(UNEXPECTED, f"{type(error).__name__} while accessing {uri}: {_brief(error)}")


def _error_response(error: boto.ClientError, uri: str) -> AgentError:
    """Convert an error response of the storage."""
    response = error.response
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    detail = response.get("Error", {}).get("Message") or code
    failure = _CODES.get(code) or _CODES.get(str(status))
    if failure is None and (status >= _SERVER_ERROR or status in _TRY_AGAIN or code in {"SlowDown", "RequestTimeout"}):
        failure = TRANSFER_FAILED
    if failure is None and code == str(status):
        # A status without an S3 error code: a server of another protocol, such as TLS on this port.
        failure = ENDPOINT_UNREACHABLE
    return AgentError(failure or UNEXPECTED, f"{uri}: the storage responded {status or code}: {_brief(detail)}")


def _brief(text: object) -> str:
    return " ".join(str(text).split())[:300]
