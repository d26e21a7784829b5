"""Asks model servers by NVIDIA's client of the Open Inference Protocol, by REST and by gRPC: run as a piece of text.

Arguments: names of ModelDeployments in its namespace. Writes what they answer, as JSON.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from tritonclient import grpc, http

ROWS = [[0.0, 0.0], [1.0, 1.0]]
TOGETHER = 4


def ask(protocol: Any, address: str, model: str, rows: list[list[float]]) -> dict[str, Any]:
    """Return what one client is told of a server and its model, and one prediction."""
    client = protocol.InferenceServerClient(address)
    kind = np.float32 if model == "onnx" else np.float64
    tensor = protocol.InferInput("x", [len(rows), 2], "FP32" if model == "onnx" else "FP64")
    tensor.set_data_from_numpy(np.array(rows, dtype=kind), **({"binary_data": False} if protocol is http else {}))
    answer = client.infer(model, [tensor], request_id="order-7")
    said = answer.get_response()
    name, output = (said["id"], said["outputs"][0]["name"]) if protocol is http else (said.id, said.outputs[0].name)
    return {
        "ready": client.is_server_ready() and client.is_model_ready(model),
        "id": name,
        "values": answer.as_numpy(output).ravel().tolist(),
    }


def main(models: list[str]) -> None:
    """Ask each of the models twice, and the last one by several clients at once."""
    found = {model: {"rest": ask(http, model, model, ROWS), "grpc": ask(grpc, f"{model}:8081", model, ROWS)}
             for model in models}  # fmt: skip
    with ThreadPoolExecutor(TOGETHER) as pool:
        asked = [pool.submit(ask, grpc, f"{models[-1]}:8081", models[-1], ROWS[:1]) for _ in range(TOGETHER)]
        together = [item.result()["values"] for item in asked]
    sys.stdout.write(json.dumps({"models": found, "together": together}))


main(sys.argv[1:])
