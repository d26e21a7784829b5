"""A model server by itself: a linear model with a logistic output, over the Open Inference Protocol."""

import json
import math
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

with open("/mnt/models/model.json") as file:  # noqa: PTH123 - run as one piece of text
    WEIGHTS = json.load(file)


class Handler(BaseHTTPRequestHandler):
    """Answers /ready, and infer requests of any model name."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        """Tell that the model is loaded."""
        self._send({"ready": True})

    def do_POST(self) -> None:
        """Predict one probability per row."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        columns = {tensor["name"]: tensor["data"] for tensor in body["inputs"]}
        rows = range(len(next(iter(columns.values()))))
        sums = [sum(weight * columns[name][row] for name, weight in WEIGHTS.items()) for row in rows]
        chances = [1 / (1 + math.exp(-value)) for value in sums]
        self._send({"outputs": [{"name": "p", "shape": [len(chances)], "datatype": "FP64", "data": chances}]})

    def _send(self, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
