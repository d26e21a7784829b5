"""Trains the same two-feature problem with every library that the presets of MLServer load: run as a piece of text."""

import os
from pathlib import Path

import lightgbm
import mlflow
import numpy as np
import onnx
import xgboost
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

output = Path(os.environ["PERENNIAL_OUTPUT"])
rows, labels = np.array([[0.0, 0.0], [1.0, 1.0]] * 20), np.array([0, 1] * 20)


def folder(name: str) -> Path:
    """Make a folder of one model."""
    found = output / name
    found.mkdir()
    return found


def signature(kind: str, result: str) -> ModelSignature:
    """Name a tensor of two columns and a result of one; MLServer decodes requests by it."""
    tensors = (TensorSpec(np.dtype(kind), (-1, 2), "x"), TensorSpec(np.dtype(kind), (-1, 1), result))
    return ModelSignature(*(Schema([tensor]) for tensor in tensors))


class Company(mlflow.pyfunc.PythonModel):
    """Answers each row with the number of rows that it is predicted together with."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        count = len(model_input["x"])
        return {"rows": np.full((count, 1), float(count))}


boosted = xgboost.XGBClassifier(n_estimators=5, min_child_weight=0).fit(rows, labels)
boosted.get_booster().save_model(folder("xgboost") / "model.ubj")
data = lightgbm.Dataset(rows, labels)
lightgbm.train({"objective": "binary", "verbose": -1}, data, 5).save_model(folder("lightgbm") / "model.bst")
graph = onnx.helper.make_graph(
    [onnx.helper.make_node("MatMul", ["x", "w"], ["s"]), onnx.helper.make_node("Sigmoid", ["s"], ["p"])],
    "sum",
    [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, 2])],
    [onnx.helper.make_tensor_value_info("p", onnx.TensorProto.FLOAT, [None, 1])],
    [onnx.numpy_helper.from_array(np.ones((2, 1), dtype=np.float32), "w")],
)
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=10)
mlflow.onnx.save_model(model, output / "onnx", signature=signature("float32", "p"))
mlflow.pyfunc.save_model(output / "mlflow", python_model=Company(), signature=signature("float64", "rows"))
