"""A server that answers with a stream of 15 s, and finishes open ones when it is told to stop."""

import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNKS = 15
MODEL = Path("/mnt/models/model").read_text()


class Handler(BaseHTTPRequestHandler):
    """Sends a chunk a second."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with the name of the model, a number more each second, and an end."""
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.send_header("connection", "close")
        self.end_headers()
        self._chunk(f"{MODEL} ".encode())
        for number in range(CHUNKS):
            time.sleep(1)
            self._chunk(f"{number} ".encode())
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class Server(ThreadingHTTPServer):
    """Waits for its open answers when it closes."""

    daemon_threads = False


server = Server(("", 8080), Handler)
# Not in the handler itself: it runs in the thread that serves, for which shutdown would wait.
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
server.server_close()
