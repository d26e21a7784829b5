"""Runtime presets in the chart's default values. An installation may change, add or remove them."""

from perennial.api.common.pod import EnvVar
from perennial.api.contract.settings import RuntimePreset
from perennial.api.modeldeployment.runtime import BatchingVariables, HttpProbe, ModelFormat
from perennial.api.modeldeployment.traffic import Series, TrafficMetrics

_HEALTH = {"readiness": HttpProbe(path="/v2/health/ready"), "liveness": HttpProbe(path="/v2/health/live")}
"""Probes of the Open Inference Protocol v2."""

_NAME, _DIRECTORY = "$(PERENNIAL_MODEL_NAME)", "$(PERENNIAL_MODEL_DIR)"
_GPU = "DCGM_FI_DEV_GPU_UTIL"
"""GPU utilization in percent, from NVIDIA's DCGM exporter."""
_TRITON_IMAGE = "nvcr.io/nvidia/tritonserver:25.08-py3"
_VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.11.0"


def _series(metric: str, **labels: str) -> Series:
    return Series(metric=metric, labels=labels or None)


_MLSERVER_SECONDS = "rest_server_request_duration_seconds"
_INFER = "*/infer"
_MLSERVER_TRAFFIC = TrafficMetrics(
    requests=(_series(f"{_MLSERVER_SECONDS}_count", path=_INFER),),
    errors=(_series(f"{_MLSERVER_SECONDS}_count", path=_INFER, status_code="5*"),),
    latency=(_series(_MLSERVER_SECONDS, path=_INFER),),
)
"""Of REST only: MLServer counts gRPC calls elsewhere."""
_MLSERVER_BATCHING = BatchingVariables(
    max_size="MLSERVER_MODEL_MAX_BATCH_SIZE", max_delay_seconds="MLSERVER_MODEL_MAX_BATCH_TIME"
)
_TRITON_FAILED = _series("nv_inference_request_failure")
_TRITON_TRAFFIC = TrafficMetrics(
    requests=(_series("nv_inference_request_success"), _TRITON_FAILED), errors=(_TRITON_FAILED,)
)
"""Triton sums durations and has no histogram, so its latency cannot be judged."""
_COMPLETIONS = ("/v1/completions", "/v1/chat/completions", "/v1/embeddings")
_VLLM_TRAFFIC = TrafficMetrics(
    requests=tuple(_series("http_requests_total", handler=path) for path in _COMPLETIONS),
    errors=tuple(_series("http_requests_total", handler=path, status="5*") for path in _COMPLETIONS),
    # The whole duration depends on how long an answer is asked for.
    latency=(_series("vllm:time_to_first_token_seconds"),),
)


def _format(name: str, *files: str, data: tuple[str, ...] | None = None, runs_code: bool = False) -> ModelFormat:
    return ModelFormat(name=name, files=files, data=data, runs_code=runs_code)


_SHARD = f"{'[0-9]' * 5}-of-{'[0-9]' * 5}"
_TRITON_DATA = ("config.pbtxt",)
"""Checked by content: see agent/fetch/triton.py."""
_ONNX_WEIGHTS = ("*.onnx.data", "*.onnx_data", "*.weight", "*.weights", "*.bin")
"""Tensors that a model.onnx refers to by file name."""
_SAVED_MODEL = "*/model.savedmodel"
_TOKENIZER = ("*.jinja", "*.model", "*.tiktoken", "*.txt")


def _mlserver(flavour: str, implementation: str, *formats: ModelFormat) -> RuntimePreset:
    """Return MLServer for one library. Inference runs in the server process, because Kubernetes scales by pods."""
    settings = {
        "MLSERVER_MODEL_NAME": _NAME,
        "MLSERVER_MODEL_IMPLEMENTATION": implementation,
        "MLSERVER_MODEL_URI": _DIRECTORY,
        "MLSERVER_HTTP_PORT": "8080",
        "MLSERVER_GRPC_PORT": "8081",
        "MLSERVER_METRICS_PORT": "8082",
        "MLSERVER_PARALLEL_WORKERS": "0",
    }
    return RuntimePreset(
        image=f"docker.io/seldonio/mlserver:1.7.1-{flavour}",
        env=tuple(EnvVar(name=name, value=value) for name, value in settings.items()),
        port=8080,
        grpc_port=8081,
        batching=_MLSERVER_BATCHING,
        metrics_port=8082,
        traffic=_MLSERVER_TRAFFIC,
        formats=formats,
        **_HEALTH,
    )


_MLSERVER = RuntimePreset(
    image="docker.io/seldonio/mlserver:1.7.1",
    env=tuple(
        EnvVar(name=f"MLSERVER_{name}", value=value)
        for name, value in (
            ("MODELS_DIR", "/mnt/models"),
            ("HTTP_PORT", "8080"),
            ("GRPC_PORT", "8081"),
            ("METRICS_PORT", "8082"),
            ("PARALLEL_WORKERS", "0"),
        )
    ),
    port=8080,
    grpc_port=8081,
    batching=_MLSERVER_BATCHING,
    metrics_port=8082,
    traffic=_MLSERVER_TRAFFIC,
    directory=_NAME,
    # The settings name the class that loads the model, which may be part of the model.
    formats=(_format("mlserver", "model-settings.json", runs_code=True),),
    **_HEALTH,
)
"""MLServer for several models, each with its own model-settings.json."""


def _triton(directory: str, *formats: ModelFormat) -> RuntimePreset:
    """Return Triton with /mnt/models as its model repository."""
    return RuntimePreset(
        image=_TRITON_IMAGE,
        args=(
            "tritonserver",
            "--model-repository=/mnt/models",
            "--http-port=8080",
            "--grpc-port=8081",
            "--metrics-port=8002",
        ),
        port=8080,
        grpc_port=8081,
        metrics_port=8002,
        traffic=_TRITON_TRAFFIC,
        directory=directory,
        formats=formats,
        scaling_metrics={"queue": "nv_inference_pending_request_count", "gpu": _GPU},
        startup_seconds=900,
        **_HEALTH,
    )


_VLLM = RuntimePreset(
    image=_VLLM_IMAGE,
    args=(f"--model={_DIRECTORY}", f"--served-model-name={_NAME}", "--port=8080"),
    # Load from the model's folder only: no downloads, no telemetry.
    env=tuple(
        EnvVar(name=name, value="1") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_NO_USAGE_STATS")
    ),
    port=8080,
    metrics_port=8080,
    traffic=_VLLM_TRAFFIC,
    readiness=HttpProbe(path="/v1/models"),
    liveness=HttpProbe(path="/health", period_seconds=10, timeout_seconds=5),
    formats=(
        # JSON names Python modules of the model (auto_map), but the modules themselves are rejected.
        _format("safetensors", "*.safetensors", data=("*.json", *_TOKENIZER)),
        _format("pytorch", "*.bin", "*.pt", runs_code=True),
    ),
    scaling_metrics={
        "queue": "vllm:num_requests_waiting",
        "running": "vllm:num_requests_running",
        "cache": "vllm:kv_cache_usage_perc",
        "gpu": _GPU,
    },
    # Tensor-parallel processes exchange tensors through shared memory.
    shared_memory="8Gi",
    startup_seconds=1800,
)

PRESETS: dict[str, RuntimePreset] = {
    "mlserver": _MLSERVER,
    "mlserver-sklearn": _mlserver(
        "sklearn",
        "mlserver_sklearn.SKLearnModel",
        _format("joblib", "model.joblib", runs_code=True),
        _format("pickle", "model.pkl", "model.pickle", runs_code=True),
    ),
    "mlserver-xgboost": _mlserver(
        "xgboost",
        "mlserver_xgboost.XGBoostModel",
        _format("xgboost", "model.ubj", "model.json", "model.bst"),
    ),
    "mlserver-lightgbm": _mlserver("lightgbm", "mlserver_lightgbm.LightGBMModel", _format("lightgbm", "model.bst")),
    # The MLmodel file names the module that loads the model, which may be part of the model.
    "mlserver-mlflow": _mlserver(
        "mlflow", "mlserver_mlflow.MLflowRuntime", _format("mlflow", "MLmodel", runs_code=True)
    ),
    "triton": _triton(
        _NAME,
        _format("onnx", "*/model.onnx", data=(*_TRITON_DATA, *_ONNX_WEIGHTS)),
        _format("tensorrt", "*/model.plan", data=_TRITON_DATA),
        _format(
            "savedmodel",
            f"{_SAVED_MODEL}/saved_model.pb",
            data=(
                *_TRITON_DATA,
                f"{_SAVED_MODEL}/fingerprint.pb",
                f"{_SAVED_MODEL}/keras_metadata.pb",
                f"{_SAVED_MODEL}/variables/variables.index",
                f"{_SAVED_MODEL}/variables/variables.data-{_SHARD}",
            ),
        ),
        _format("openvino", "*/model.xml", data=(*_TRITON_DATA, "*/model.bin", "*/model.mapping")),
        _format("torchscript", "*/model.pt", runs_code=True),
        _format("python", "*/model.py", runs_code=True),
    ),
    "onnx": _triton(f"{_NAME}/1", _format("onnx", "model.onnx", data=_ONNX_WEIGHTS)),
    "vllm": _VLLM,
}
"""Presets by the name in `spec.runtime.name`."""
