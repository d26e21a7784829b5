"""Panels of requests, errors and latency, from the series of the model servers' presets.

Prometheus must scrape the model servers' pods and keep their namespace and name as labels, as the chart's PodMonitor
makes it do. A model has the series of its own server only, so each panel asks for those of all servers.
"""

import re
from collections.abc import Iterable, Mapping

from perennial.api.contract.settings import RuntimePreset
from perennial.api.modeldeployment.traffic import Series, SeriesList, TrafficMetrics
from perennial.generate.panels import Panel, Query

_QUANTILES = ((0.5, "median"), (0.95, "95 %"))
_POD = "$name-[0-9a-z]+-[0-9a-z]+-[0-9a-z]+"
"""Name of a pod of any revision: Deployment, hash of its template, and its own."""


def traffic_panels(presets: Mapping[str, RuntimePreset]) -> tuple[Panel, ...]:
    """Build the panels; each query sums over the pods of a revision."""
    known: list[TrafficMetrics] = []
    for preset in presets.values():
        if preset.traffic is not None and preset.traffic not in known:
            known.append(preset.traffic)
    requests = _queries(traffic.requests for traffic in known)
    errors = _queries(traffic.errors for traffic in known if traffic.errors is not None)
    latency = tuple(
        Query(
            f"histogram_quantile({share}, sum by (revision, le) ({_rate(series, '_bucket')}))",
            f"{{{{revision}}}} {name}",
        )
        for traffic in known
        for series in traffic.latency or ()
        for share, name in _QUANTILES
    )
    return (
        Panel("Requests", "timeseries", requests, "Predictions a second, by revision.", unit="reqps"),
        Panel("Errors", "timeseries", errors, "Failed predictions a second, by revision.", unit="reqps"),
        Panel(
            "Latency",
            "timeseries",
            latency,
            "Duration of predictions, by revision; of vLLM the time to the first token. Triton has no histogram.",
            unit="s",
        ),
    )


def _queries(found: Iterable[SeriesList]) -> tuple[Query, ...]:
    return tuple(Query(f"sum by (revision) ({_all(server)})", "{{revision}}") for server in found)


def _all(server: SeriesList) -> str:
    """All series of a server. They are numbered, since `or` drops a series whose labels are those of an earlier one."""
    rates = [_rate(series) for series in server]
    if len(rates) == 1:
        return rates[0]
    return " or ".join(f'label_replace({rate}, "series", "{number}", "", "")' for number, rate in enumerate(rates))


def _rate(series: Series, suffix: str = "") -> str:
    """Rate of a series over five minutes, with the name of its revision as a label."""
    labels = "".join(f', {name}=~"{_regex(pattern)}"' for name, pattern in (series.labels or {}).items())
    selector = f'{series.metric}{suffix}{{namespace="$namespace", pod=~"{_POD}"{labels}}}'
    return f'label_replace(rate({selector}[5m]), "revision", "$1", "pod", "(.+)-[0-9a-z]+-[0-9a-z]+")'


def _regex(pattern: str) -> str:
    """Regular expression of a pattern with * for any text, escaped for a string of PromQL."""
    return ".*".join(re.escape(part).replace("\\", "\\\\") for part in pattern.split("*"))
