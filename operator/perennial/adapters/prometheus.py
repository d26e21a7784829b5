"""Queries of the Prometheus server that the operator's settings name, through its HTTP API.

https://prometheus.io/docs/prometheus/latest/querying/api/ describes the answers. The server's address never comes from
a resource, and no redirect is followed.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

import aiohttp
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from perennial.core.reads import Measurement
from perennial.core.waiting import clean

_SECONDS = 30.0
_LIMIT = 256 * 1024
_DETAIL = 200

_Sample = tuple[float, str]
"""Time and value, as the API writes them: the value is a text, since JSON has no NaN."""


class _Series(BaseModel):
    value: _Sample


class _Vector(BaseModel):
    kind: Literal["vector"] = Field(alias="resultType")
    result: list[_Series]


class _Scalar(BaseModel):
    kind: Literal["scalar"] = Field(alias="resultType")
    result: _Sample


class _Other(BaseModel):
    kind: Literal["matrix", "string"] = Field(alias="resultType")


class _Success(BaseModel):
    status: Literal["success"]
    data: Annotated[_Vector | _Scalar | _Other, Field(discriminator="kind")]


class _Error(BaseModel):
    status: Literal["error"]
    error: str = ""


_ANSWER: TypeAdapter[_Success | _Error] = TypeAdapter(Annotated[_Success | _Error, Field(discriminator="status")])


class PrometheusReader:
    """Evaluates instant queries."""

    def __init__(self, url: str, now: Callable[[], datetime], seconds: float = _SECONDS) -> None:
        """`url` is the base address, such as http://prometheus.monitoring.svc:9090. Requires a running event loop."""
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._now = now
        self._seconds = seconds
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # a small response could decompress to a large text
            headers={"Accept-Encoding": "identity"},
            trust_env=False,
        )

    async def measure(self, query: str) -> Measurement:
        """Evaluate a query; a failure is an answer too, with its cause."""
        try:
            text = await self._text(query)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = f"no answer within {self._seconds:g} s" if isinstance(error, TimeoutError) else clean(str(error))
            return self._without(f"the Prometheus server cannot be reached: {cause[:_DETAIL]}")
        if text is None:
            return self._without(f"the answer of the Prometheus server is longer than {_LIMIT} bytes")
        try:
            answer = _ANSWER.validate_json(text)
        except ValidationError:
            return self._without("the Prometheus server gave no valid answer; check config.prometheus.url")
        if isinstance(answer, _Error):
            return self._without(f"the Prometheus server refused the query: {clean(answer.error)[:_DETAIL]}")
        return self._measured(answer.data)

    async def _text(self, query: str) -> bytes | None:
        """Body of the answer, whatever its status: errors are JSON as well. None: it is too long."""
        form = {"query": query, "timeout": f"{self._seconds:g}s"}
        async with self._session.post(self._url, data=form, allow_redirects=False) as answer:
            data = b""
            while len(data) <= _LIMIT:
                part = await answer.content.read(_LIMIT + 1 - len(data))
                if not part:
                    return data
                data += part
        return None

    def _measured(self, data: _Vector | _Scalar | _Other) -> Measurement:
        if isinstance(data, _Other):
            return self._without(f"the query gives a {data.kind}, not one number")
        samples = [data.result] if isinstance(data, _Scalar) else [series.value for series in data.result]
        if len(samples) != 1:
            found = f"{len(samples)} series; aggregate them, for example with sum()" if samples else "no data"
            return self._without(f"the query gives {found}")
        try:
            value = float(samples[0][1])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            return self._without("the query gives no finite number (NaN or Inf), as a division by zero does")
        return Measurement(self._now(), value)

    def _without(self, problem: str) -> Measurement:
        return Measurement(self._now(), problem=problem)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
