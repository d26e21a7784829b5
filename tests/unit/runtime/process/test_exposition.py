"""Counters out of the Prometheus text format, as servers write it, and what is refused."""

from math import inf

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from perennial.api.modeldeployment.traffic import Series, TrafficMetrics
from perennial.core.traffic import Counters
from perennial.generate.presets import PRESETS
from perennial.runtime.process.exposition import MOST_SERIES, counters_of

METRICS = TrafficMetrics(
    requests=(Series(metric="http_requests_total", labels={"path": "/v2/*"}),),
    errors=(Series(metric="http_requests_total", labels={"path": "/v2/*", "code": "5*"}),),
    latency=(Series(metric="http_seconds", labels={"path": "/v2/*"}),),
)


def exposed(*requests: tuple[str, str, float]) -> str:
    """What a server writes after these requests: path, code and seconds."""
    registry = CollectorRegistry()
    counter = Counter("http_requests", "Requests, told in\nseveral lines.", ["path", "code"], registry=registry)
    seconds = Histogram("http_seconds", "Durations.", ["path"], registry=registry, buckets=(0.1, 0.5, 1.0))
    Counter("http_requests_totalled", "Another one.", registry=registry).inc(77)
    for path, code, duration in requests:
        counter.labels(path, code).inc()
        seconds.labels(path).observe(duration)
    return generate_latest(registry).decode()


def test_requests_errors_and_durations_are_summed_without_health_checks() -> None:
    text = exposed(
        ("/v2/models/a/infer", "200", 0.05),
        ("/v2/models/a/infer", "500", 0.3),
        ("/v2/models/b/infer", "404", 2.0),
        ("/healthz", "500", 0.01),
    )
    assert counters_of(text, METRICS) == Counters(3, 1, ((0.1, 1), (0.5, 2), (1.0, 2), (inf, 3)))


def test_a_server_without_a_request_yet_has_counted_none() -> None:
    assert counters_of(exposed(), METRICS) == Counters()
    assert counters_of("", METRICS) == Counters()


@pytest.mark.parametrize(
    "text",
    [
        'http_requests_total{path="/v2/x",code="200"} many\n',
        'http_requests_total{path="/v2/x",code="200} 1\n',
        'http_requests_total{path="/v2/x"} -1\n',
        'http_requests_total{path="/v2/x"} NaN\n',
        'http_requests_total{path="/v2/x"} +Inf\n',
        'http_seconds_bucket{path="/v2/x"} 3\n',
        'http_seconds_bucket{path="/v2/x",le="0.1"} 3\n',
        'http_seconds_bucket{path="/v2/x",le="0.1"} 3\nhttp_seconds_bucket{path="/v2/x",le="+Inf"} 2\n',
        'http_seconds_bucket{path="/v2/x",le="wide"} 3\n',
        "".join(f'http_requests_total{{path="/v2/{number}"}} 1\n' for number in range(MOST_SERIES + 1)),
    ],
)
def test_what_is_not_valid_or_too_much_is_no_answer(text: str) -> None:
    assert counters_of(text, METRICS) is None


def mlserver(kind: str, value: int, path: str = "/v2/models/{model_name}/infer", code: int = 200, le: str = "") -> str:
    """A line that MLServer 1.7 writes."""
    labels = {"app_name": "mlserver", **({"le": le} if le else {}), "method": "POST", "path": path, "status_code": code}
    shown = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"rest_server_request_duration_seconds_{kind}{{{shown}}} {value:.1f}\n"


MLSERVER = "".join(
    [
        "# TYPE rest_server_request_duration_seconds histogram\n",
        mlserver("bucket", 3, le="0.005"),
        mlserver("bucket", 4, le="+Inf"),
        mlserver("count", 4),
        mlserver("bucket", 1, code=500, le="0.005"),
        mlserver("bucket", 1, code=500, le="+Inf"),
        mlserver("count", 1, code=500),
        mlserver("count", 90, path="/v2/health/ready"),
    ]
)
TRITON = """nv_inference_request_success{model="churn",version="1"} 40
nv_inference_request_failure{model="churn",reason="BACKEND",version="1"} 2
nv_inference_request_failure{model="churn",reason="OTHER",version="1"} 1
"""
VLLM = """http_requests_total{handler="/v1/completions",method="POST",status="2xx"} 5.0
http_requests_total{handler="/v1/completions",method="POST",status="5xx"} 1.0
http_requests_total{handler="/v1/models",method="GET",status="2xx"} 70.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.1",model_name="churn"} 5.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="churn"} 6.0
"""


@pytest.mark.parametrize(
    ("preset", "text", "expected"),
    [
        ("mlserver-sklearn", MLSERVER, Counters(5, 1, ((0.005, 4), (inf, 5)))),
        ("triton", TRITON, Counters(43, 3)),
        ("vllm", VLLM, Counters(6, 1, ((0.1, 5), (inf, 6)))),
    ],
)
def test_presets_name_the_series_of_their_servers(preset: str, text: str, expected: Counters) -> None:
    traffic = PRESETS[preset].traffic
    assert traffic is not None
    assert counters_of(text, traffic) == expected
