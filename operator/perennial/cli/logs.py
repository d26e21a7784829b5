"""Logs of a run or of a resource's pods, merged by time."""

import heapq
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from perennial.api.kubernetes import Pod
from perennial.cli.cluster import Cluster
from perennial.cli.errors import CliError
from perennial.core.labels import ATTEMPT_LABEL, JOB_INDEX_KEY, RUN_LABEL


@dataclass(frozen=True, order=True)
class Line:
    """One line of a log. Orders by time."""

    time: str
    source: str
    text: str


@dataclass(frozen=True)
class Source:
    """One container whose log is read."""

    pod: str
    container: str
    title: str


def sources_of(pods: Iterable[Pod], run: str | None, containers: frozenset[str] | None) -> tuple[Source, ...]:
    """Containers to read: of one run (its number) or of all, with all containers or some."""
    chosen = [pod for pod in pods if run is None or pod.metadata.labels.get(RUN_LABEL) == run]
    ordered = sorted(chosen, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name))
    return tuple(
        Source(pod.metadata.name, item.name, _title(pod, item.name))
        for pod in ordered
        for item in pod.containers
        if containers is None or item.name in containers
    )


def _title(pod: Pod, container: str) -> str:
    """`run 3 attempt 0 worker 1 train`, or the pod's name outside of training."""
    labels: Mapping[str, str] = pod.metadata.labels
    if RUN_LABEL not in labels:
        return f"{pod.metadata.name} {container}"
    worker = labels.get(JOB_INDEX_KEY)
    parts = [f"run {labels[RUN_LABEL]}", f"attempt {labels.get(ATTEMPT_LABEL, '0')}"]
    return " ".join([*parts, *([f"worker {worker}"] if worker else []), container])


def parse_line(raw: str, source: str) -> Line:
    """Split the kubelet's time from the text."""
    time, _, text = raw.partition(" ")
    return Line(time, source, text)


def merged(cluster: Cluster, sources: Iterable[Source], tail: int | None) -> Iterator[Line]:
    """Read all logs so far, merged by time."""
    streams = [_lines(cluster, source, tail) for source in sources]
    return iter(heapq.merge(*streams))


def _lines(cluster: Cluster, source: Source, tail: int | None) -> Iterator[Line]:
    return (parse_line(raw, source.title) for raw in cluster.logs(source.pod, source.container, tail=tail))


def followed(cluster: Cluster, sources: tuple[Source, ...], tail: int | None) -> Iterator[Line]:
    """Read all logs and go on until every container has ended; lines come in the order of their arrival."""
    lines: queue.Queue[Line | CliError | None] = queue.Queue(maxsize=10_000)

    def read(source: Source) -> None:
        try:
            for raw in cluster.logs(source.pod, source.container, follow=True, tail=tail):
                lines.put(parse_line(raw, source.title))
        except CliError as error:
            lines.put(error)
        finally:
            lines.put(None)

    for source in sources:
        # Daemons: an interrupted command must not wait for streams that may never end.
        threading.Thread(target=read, args=(source,), daemon=True).start()
    left = len(sources)
    while left:
        item = lines.get()
        if isinstance(item, CliError):
            raise item
        if item is None:
            left -= 1
        else:
            yield item
