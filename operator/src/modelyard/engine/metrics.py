"""Metrics: every series that the operator exposes, by name; docs/observability.md explains each (a test compares)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector

REGISTRY = CollectorRegistry()
QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
LONG = (10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(f"modelyard_{name}", text, labels, registry=REGISTRY)


def _gauge(name: str, text: str, *labels: str) -> Gauge:
    return Gauge(f"modelyard_{name}", text, labels, registry=REGISTRY)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...] = QUICK) -> Histogram:
    return Histogram(f"modelyard_{name}", text, labels, registry=REGISTRY, buckets=buckets)


ProcessCollector(registry=REGISTRY)
BUILD = Info("modelyard_build", "Version of the operator", registry=REGISTRY)
BUILD.info({"version": version("modelyard")})

LEADING = _gauge("leading", "1 while this operator holds the Lease and may write, else 0")
LEASE_FAILURES = _counter("lease_renewal_failures_total", "Renewals of the Lease that failed")

QUEUE_DEPTH = _gauge("queue_depth", "Objects that wait for a reconcile or are in one")
QUEUE_BEAT = _gauge("queue_heartbeat_timestamp_seconds", "When the work queue last moved (every 5 s when idle)")
LAST_RECONCILE = _gauge("last_reconcile_timestamp_seconds", "When the last reconcile ended")
RECONCILE_SECONDS = _histogram("reconcile_duration_seconds", "Reconciles and how long they took", "kind")
RECONCILE_FAILURES = _counter("reconcile_errors_total", "Reconciles that failed and are retried", "kind")

KUBE_REQUESTS = _counter("kube_requests_total", "Requests to the API server; code 0: no answer", "verb", "kind", "code")
KUBE_SECONDS = _histogram("kube_request_duration_seconds", "Time to the answer of the API server", "verb")

WATCH_EVENTS = _counter("watch_events_total", "Events of the watches, listings included", "kind")
WATCH_RESTARTS = _counter("watch_restarts_total", "How often all watches were started again after they ended")
RESYNCS = _counter("resyncs_total", "Listings that compare the cache with the API server")
RESYNC_REPAIRED = _counter("resync_repaired_objects_total", "Objects that a resync knew before the watches did")

FACTS = _counter("external_queries_total", "Queries outside; outcome: ok, or the reason", "query", "outcome")
FACT_SECONDS = _histogram("external_query_duration_seconds", "Time to the answer of a query outside", "query")

ENDPOINT_REQUESTS = _counter("endpoint_requests_total", "Requests of run pods to the endpoint", "purpose", "code")
CERTIFICATE_RENEWED = _gauge(
    "endpoint_certificate_renewed_timestamp_seconds", "When the endpoint's certificate was last signed anew"
)

RUNS = _counter("runs_finished_total", "Runs that ended, by reason of Ready", "namespace", "outcome", "reason")
RUN_SECONDS = _histogram("run_duration_seconds", "Time from pinned to ended", "outcome", buckets=LONG)
RESUMES = _counter("run_resumes_total", "How often runs went on in a new pod", "namespace")
GATES = _counter("gate_verdicts_total", "Verdicts of quality gates when they changed", "namespace", "verdict")
ROLLOUTS = _counter("rollouts_total", "Versions that came to serve, or failed to", "namespace", "outcome")


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Observe how long the block takes, also when it fails."""
    began = time.perf_counter()
    try:
        yield
    finally:
        histogram.observe(time.perf_counter() - began)
