"""Requests to one model server: JSON in, JSON out, bounded in time and size, without redirects."""

import json
import logging
import socket
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as SlowError

from perennial.agent.storage.errors import AgentError
from perennial.core.failures import MODEL_UNREACHABLE

log = logging.getLogger(__name__)

MAX_ANSWER = 64 << 20
"""Longest response that is read, in bytes."""
REACH_SECONDS = 30.0
_PAUSE = 1.0
_CHUNK = 1 << 16
_OK = range(200, 300)
_ERRORS_LOGGED = 5
_SHOWN = 200


@dataclass(frozen=True)
class Answer:
    """Response to one request.

    Attributes:
        body: decoded JSON; None if there is an error.
        error: why there is no usable answer, in a few words; None if there is one.
        seconds: time until the whole response was read.
        refused: the server answered with an error status.
        connected: False if there was no connection, or it broke: the server may have been stopped.
    """

    body: object = None
    error: str | None = None
    seconds: float = 0.0
    refused: bool = False
    connected: bool = True


class ModelClient:
    """A connection to one model server, reused for all requests."""

    def __init__(self, url: str, timeout: float) -> None:
        """Connect to scheme, host and port of `url`; each request may take `timeout` seconds."""
        self.url, self._timeout = url, timeout
        self._pool = urllib3.connection_from_url(url, maxsize=1, retries=False, timeout=urllib3.Timeout(total=timeout))
        self._logged = 0

    def reach(self, seconds: float = REACH_SECONDS) -> None:
        """Wait until the server accepts connections.

        Raises:
            AgentError: ModelUnreachable, if it does not within `seconds`.
        """
        parts = urlsplit(self.url)
        end = time.monotonic() + seconds
        port = parts.port or (443 if parts.scheme == "https" else 80)
        while True:
            try:
                socket.create_connection((parts.hostname or "", port), timeout=min(self._timeout, seconds)).close()
            except OSError as error:
                if time.monotonic() + _PAUSE > end:
                    reason = error.strerror or str(error) or type(error).__name__
                    raise AgentError(
                        MODEL_UNREACHABLE, f"{self.url} accepts no connection for {seconds:g} s ({reason})"
                    ) from error
                time.sleep(_PAUSE)
            else:
                return

    def post(self, path: str, document: object) -> Answer:
        """Send a JSON document and return the answer; never raises for what the server does."""
        body = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
        start = time.perf_counter()
        try:
            answer = self._send(path, body, start + self._timeout)
        except SlowError as error:
            connecting = isinstance(error, NewConnectionError)
            answer = Answer(error=f"no response within {self._timeout:g} s", connected=not connecting)
        except (ProtocolError, HTTPError, OSError) as error:
            answer = Answer(error="no connection, or it broke", connected=False)
            log.debug("%s: %s", self.url, error)
        return replace(answer, seconds=time.perf_counter() - start)

    def _send(self, path: str, body: bytes, end: float) -> Answer:
        response = self._pool.urlopen(
            "POST",
            path,
            body=body,
            headers={"content-type": "application/json", "accept": "application/json"},
            redirect=False,
            preload_content=False,
        )
        try:
            data = _read(response, end)
            if response.status not in _OK:
                self._log(response.status, data)
                return Answer(error=f"HTTP {response.status}", refused=True)
            return _decoded(data)
        finally:
            # What is left unread would be taken for the next response.
            response.drain_conn() if response.status in _OK and not response.closed else response.close()
            response.release_conn()

    def _log(self, status: int, data: bytes | None) -> None:
        """Log what the server says about the first errors: it may quote data, so it stays out of the status."""
        if self._logged < _ERRORS_LOGGED:
            self._logged += 1
            log.warning("%s: HTTP %d: %s", self.url, status, (data or b"")[:_SHOWN].decode("utf-8", "replace"))


def _read(response: urllib3.BaseHTTPResponse, end: float) -> bytes | None:
    """Return the body, None if it is longer than MAX_ANSWER.

    Raises:
        urllib3.exceptions.TimeoutError: it takes too long, even if each part of it comes in time.
    """
    data = bytearray()
    for chunk in response.stream(_CHUNK):
        data += chunk
        if len(data) > MAX_ANSWER:
            return None
        if time.perf_counter() > end:
            raise SlowError("the response takes too long")
    return bytes(data)


def _decoded(data: bytes | None) -> Answer:
    if data is None:
        return Answer(error=f"a response longer than {MAX_ANSWER >> 20} MiB")
    try:
        return Answer(json.loads(data))
    except (ValueError, RecursionError):
        return Answer(error="a response that is not JSON")
