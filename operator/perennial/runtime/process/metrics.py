"""What the operator tells Prometheus about itself. What it tells about resources is in `gauges`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from perennial.core.kinds import Kind

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self) -> None:
        """Register everything, so that a scrape shows zeros before anything has happened."""
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.reconciles = Counter(
            "perennial_reconciles", "Reconciles by how they ended.", ["kind", "result"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            "perennial_reconcile_seconds", "Time of a reconcile.", ["kind"], registry=registry, buckets=_FAST
        )
        self.queue_depth = Gauge("perennial_queue_depth", "Keys that wait for a worker.", registry=registry)
        self.queue_delayed = Gauge("perennial_queue_delayed", "Keys that wait for their time.", registry=registry)
        self.queue_running = Gauge("perennial_queue_running", "Keys that a worker has.", registry=registry)
        self.queue_seconds = Histogram(
            "perennial_queue_wait_seconds", "Wait of a key for a worker.", registry=registry, buckets=_FAST
        )
        self.retries = Counter(
            "perennial_retries", "Reconciles put off because one failed.", ["kind"], registry=registry
        )
        self.writes = Counter(
            "perennial_writes",
            "Writes to the API server; code 0: no answer.",
            ["verb", "kind", "code"],
            registry=registry,
        )
        self.write_seconds = Histogram(
            "perennial_write_seconds", "Time of a write.", ["verb"], registry=registry, buckets=_FAST
        )
        self.child_seconds = Histogram(
            "perennial_event_to_child_seconds",
            "From the event that called for a child until the child was made.",
            ["kind"],
            registry=registry,
            buckets=_FAST,
        )
        self.unsettled = Counter(
            "perennial_unsettled_children",
            "Children that someone changed back at once after they were applied.",
            ["kind"],
            registry=registry,
        )
        self.cache_objects = Gauge("perennial_cache_objects", "Objects in memory.", ["kind"], registry=registry)
        self.events = Counter("perennial_watch_events", "Watch events.", ["kind", "type"], registry=registry)
        self.streams = Counter(
            "perennial_watch_streams", "Watch streams that the API server opened for us.", registry=registry
        )
        self.leader = Gauge("perennial_leader", "1 while this replica acts.", registry=registry)
        self.last_resync = Gauge(
            "perennial_last_resync_timestamp_seconds", "When everything was last listed.", registry=registry
        )

    def note_write(self, verb: str, kind: Kind, status: int, seconds: float) -> None:
        """Count a write."""
        self.writes.labels(verb, kind.kind, str(status)).inc()
        self.write_seconds.labels(verb).observe(seconds)

    def note_unsettled(self, kind: Kind) -> None:
        """Count a child that does not keep what was applied to it."""
        self.unsettled.labels(kind.kind).inc()
