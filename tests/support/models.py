"""Model servers on loopback whose answers a function gives."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, object]
"""Status and body: bytes are sent as they are, anything else as JSON."""


@dataclass
class Asked:
    """What a server was asked."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[Any], Answer]) -> Iterator[Asked]:
    """Serve POST requests with `answer(body)` until the block ends."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet: two of them wait for each other

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.paths.append(self.path)
            asked.bodies.append(body)
            asked.headers.append(dict(self.headers))
            status, document = answer(body)
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    asked.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def columns_of(body: Any) -> dict[str, list[Any]]:
    """Return the columns of a request in the Open Inference Protocol."""
    return {tensor["name"]: tensor["data"] for tensor in body["inputs"]}


def predictions(values: list[Any], name: str = "predict") -> dict[str, Any]:
    """Return a response of the Open Inference Protocol with one value per row."""
    kind = "BYTES" if values and isinstance(values[0], str) else "FP64"
    return {"outputs": [{"name": name, "shape": [len(values)], "datatype": kind, "data": values}]}


def echo(column: str) -> Callable[[Any], Answer]:
    """Return a model that predicts what one of its columns says."""
    return lambda body: (200, predictions(columns_of(body)[column]))
