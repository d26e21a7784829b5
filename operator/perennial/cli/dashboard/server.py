"""The server: parses requests, asks the guard, and sends pages. It listens on 127.0.0.1 only."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from perennial.api.driftmonitor.resource import DriftMonitor
from perennial.cli.cluster import Cluster
from perennial.cli.dashboard.guard import HEADERS, REPORT_HEADERS, Asked, Secrets, new_secrets, refusal
from perennial.cli.dashboard.markup import document, tag
from perennial.cli.dashboard.pages import Frame, Page, fleet, framed, live, model, refused
from perennial.cli.dashboard.source import Source
from perennial.cli.errors import CliError
from perennial.cli.report import fetch_by_own_credentials
from perennial.cli.snapshot import read_snapshot

ADDRESS = "127.0.0.1"
_HTML = "text/html; charset=utf-8"
_STATIC = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_MODEL_PARTS = 3
_FIELDS = 8

Fetch = Callable[[DriftMonitor], bytes]


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    content: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Dashboard:
    """Answers paths; knows nothing of sockets."""

    source: Source
    secrets: Secrets
    namespace: str
    now: Callable[[], datetime]
    fetch: Fetch | None = None
    """Reads a report with the user's own credentials; None if that was not asked for."""

    def answer(self, target: SplitResult, query: Mapping[str, str]) -> Answer:
        """Answer a request that the guard has let in."""
        path = target.path[len(self.secrets.base) :]
        if "token" in query:
            return self._welcome()
        first, _, rest = path.lstrip("/").partition("/")
        if first == "static":
            return self._static(rest)
        if first == "report":
            return self._report(unquote(rest))
        wants_live = first == "live"
        inner = f"/{rest}" if wants_live else path
        page = self._page(inner, query)
        if wants_live:
            return Answer(200, "application/json", json.dumps(live(page)).encode(), HEADERS)
        return self.framed(page, f"{self.secrets.base}/live{inner}")

    def framed(self, page: Page, live_path: str | None) -> Answer:
        """A page with its frame."""
        return Answer(page.status, _HTML, framed(page, self._frame(), live_path).encode(), HEADERS)

    def _frame(self) -> Frame:
        return Frame(self.secrets.base, self.namespace, self.fetch is not None, now=self.now())

    def _page(self, path: str, query: Mapping[str, str]) -> Page:
        names = [unquote(part) for part in path.strip("/").split("/")]
        if names == [""]:
            return fleet(self.source.seen(), self._frame())
        if len(names) == _MODEL_PARTS and names[0] == "model":
            return model(self.source.seen(), self._frame(), names[1], names[2], query)
        return refused(self.secrets.base, 404, "There is no such page.")

    def _welcome(self) -> Answer:
        """Set the cookie by a page that goes on by itself.

        After a redirect the browser would count the origin of who opened the address, such as a file or a terminal in
        a web page, as that of the request, and would not send a SameSite=Strict cookie with it.
        """
        there = f"{self.secrets.base}/"
        icon = tag("link", rel="icon", href=f"{there}static/icon.svg")
        head = tag("head", tag("meta", http_equiv="refresh", content=f"0;url={there}"), icon, tag("title", "Perennial"))
        body = tag("body", tag("p", tag("a", "Continue to the dashboard", href=there)))
        return Answer(200, _HTML, document(head, body).encode(), {**HEADERS, "Set-Cookie": self.secrets.cookie()})

    def _static(self, name: str) -> Answer:
        content = _STATIC.get(name)
        if content is None:
            return self.framed(refused(self.secrets.base, 404, "There is no such file."), None)
        body = files("perennial.cli.dashboard").joinpath("static", name).read_bytes()
        return Answer(200, content, body, HEADERS)

    def _report(self, name: str) -> Answer:
        snapshot = self.source.seen().snapshot
        monitors = snapshot.drift_monitors if snapshot is not None else ()
        monitor = next((item for item in monitors if item.metadata.name == name), None)
        if monitor is None or self.fetch is None:
            text = "The report is not available here: kubectl perennial report fetches it."
            return Answer(404, _HTML, document(tag("head"), tag("body", tag("p", text))).encode(), REPORT_HEADERS)
        try:
            return Answer(200, _HTML, self.fetch(monitor), REPORT_HEADERS)
        except CliError as error:
            page = document(tag("head"), tag("body", tag("p", f"The report cannot be read: {error}")))
            return Answer(502, _HTML, page.encode(), REPORT_HEADERS)


class Server(ThreadingHTTPServer):
    """Serves one dashboard on the loopback address."""

    daemon_threads = True

    def __init__(self, dashboard: Dashboard, port: int) -> None:
        """Listen; port 0 takes a free one."""
        self.dashboard = dashboard
        super().__init__((ADDRESS, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what is unexpected; a browser that hangs up when a page is left is not."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """The address that lets a browser in."""
        secrets = self.dashboard.secrets
        return f"http://{ADDRESS}:{self.server_port}{secrets.base}/?token={secrets.token}"


class _Handler(BaseHTTPRequestHandler):
    """One connection. A silent client is given up after 30 seconds."""

    server: Server
    timeout = 30
    server_version = "perennial"
    sys_version = ""

    def _serve(self) -> None:
        target = urlsplit(self.path)
        try:
            query = dict(parse_qsl(target.query, max_num_fields=_FIELDS))
        except ValueError:
            query = {}
        asked = Asked(
            self.command,
            target.path,
            self.headers.get("Host", ""),
            query.get("token", ""),
            self.headers.get("Cookie", ""),
            self.headers.get("Sec-Fetch-Site", ""),
            self.headers.get("Sec-Fetch-Mode", ""),
        )
        dashboard = self.server.dashboard
        refused_by = refusal(asked, dashboard.secrets, self.server.server_port)
        if refused_by is not None:
            # Nothing of the cluster, and not the secret path, goes to whoever was not let in.
            body = document(tag("head", tag("title", "Perennial")), tag("body", tag("p", refused_by[1])))
            self._send(Answer(refused_by[0], _HTML, body.encode(), HEADERS))
            return
        self._send(dashboard.answer(target, query))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815 - http.server's names

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.content)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the terminal shows the address, and a request line would show the token."""


def open_server(cluster: Cluster, port: int, *, own_credentials: bool = False) -> Server:
    """Listen with new secrets.

    Raises:
        CliError: the port is taken, or may not be used.
    """

    def now() -> datetime:
        return datetime.now(UTC)

    fetch = fetch_by_own_credentials if own_credentials else None
    source = Source(lambda: read_snapshot(cluster), now)
    dashboard = Dashboard(source, new_secrets(), cluster.namespace, now, fetch)
    try:
        return Server(dashboard, port)
    except (OSError, OverflowError) as error:
        raise CliError(f"cannot listen on {ADDRESS}:{port}: {error}. Choose another --port") from error


def doorway(address: str) -> Path:
    """Write a file that only this user can read and that leads a browser to the address.

    The browser is given the name of the file: arguments of a process are visible to all users of the machine.
    """
    head = tag("head", tag("meta", http_equiv="refresh", content=f"0;url={address}"))
    page = document(head, tag("body", tag("p", tag("a", "Continue to the dashboard", href=address))))
    descriptor, name = tempfile.mkstemp(prefix="perennial-", suffix=".html")
    with os.fdopen(descriptor, "w") as stream:
        stream.write(page)
    return Path(name)
