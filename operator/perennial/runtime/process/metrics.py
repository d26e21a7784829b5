"""Prometheus metrics of the operator itself. Those of resources are in `gauges`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector

from perennial.core.kinds import Kind

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """All metrics of one process, in their own registry."""

    def __init__(self) -> None:
        """Register everything, so that a scrape shows zeros before anything has happened."""
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        self.reconciles = Counter(
            "perennial_reconciles", "Number of reconciles, by result.", ["kind", "result"], registry=registry
        )
        self.reconcile_seconds = Histogram(
            "perennial_reconcile_seconds", "Duration of a reconcile.", ["kind"], registry=registry, buckets=_FAST
        )
        self.queue_depth = Gauge("perennial_queue_depth", "Number of keys that wait for a worker.", registry=registry)
        self.queue_delayed = Gauge("perennial_queue_delayed", "Number of keys with a requeue delay.", registry=registry)
        self.queue_running = Gauge("perennial_queue_running", "Number of keys being reconciled.", registry=registry)
        self.queue_seconds = Histogram(
            "perennial_queue_wait_seconds", "Time that a key waits for a worker.", registry=registry, buckets=_FAST
        )
        self.retries = Counter(
            "perennial_retries", "Number of reconciles that are retried after a failure.", ["kind"], registry=registry
        )
        self.writes = Counter(
            "perennial_writes",
            "Number of writes to the API server; code 0: no response.",
            ["verb", "kind", "code"],
            registry=registry,
        )
        self.write_seconds = Histogram(
            "perennial_write_seconds", "Duration of a write.", ["verb"], registry=registry, buckets=_FAST
        )
        self.child_seconds = Histogram(
            "perennial_event_to_child_seconds",
            "Time from the event that required a child until the child was created.",
            ["kind"],
            registry=registry,
            buckets=_FAST,
        )
        self.unsettled = Counter(
            "perennial_unsettled_children",
            "Number of times that a child was changed back right after an apply.",
            ["kind"],
            registry=registry,
        )
        self.cache_objects = Gauge("perennial_cache_objects", "Number of cached objects.", ["kind"], registry=registry)
        self.events = Counter("perennial_watch_events", "Number of watch events.", ["kind", "type"], registry=registry)
        self.streams = Counter("perennial_watch_streams", "Number of established watch streams.", registry=registry)
        self.leader = Gauge("perennial_leader", "1 if this replica is the leader, else 0.", registry=registry)
        self.audit_pending = Gauge(
            "perennial_audit_pending",
            "Number of entries that are not known to be in the audit log yet.",
            registry=registry,
        )
        self.audit_oldest = Gauge(
            "perennial_audit_oldest_seconds", "Seconds that the oldest of these entries has waited.", registry=registry
        )
        self.audit_failures = Counter(
            "perennial_audit_failures",
            "Number of Jobs that did not append to the audit log, by reason.",
            ["reason"],
            registry=registry,
        )
        self.audit_dropped = Counter(
            "perennial_audit_dropped",
            "Number of facts that were not recorded because the outbox of the audit log was full.",
            registry=registry,
        )
        self.last_resync = Gauge(
            "perennial_last_resync_timestamp_seconds", "Unix time of the last complete list.", registry=registry
        )

    def note_write(self, verb: str, kind: Kind, status: int, seconds: float) -> None:
        """Count a write."""
        self.writes.labels(verb, kind.kind, str(status)).inc()
        self.write_seconds.labels(verb).observe(seconds)

    def note_unsettled(self, kind: Kind) -> None:
        """Count a child that does not keep its applied fields."""
        self.unsettled.labels(kind.kind).inc()
