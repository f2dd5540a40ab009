"""What /metrics says beside KServe's own figures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter(
    "modelyard_server_requests_total", "Answered prediction requests (v1, v2, grpc)", ["protocol", "code"]
)
SECONDS = Histogram(
    "modelyard_server_request_seconds",
    "Time from a prediction request to its answer",
    ["protocol"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
ROWS = Counter("modelyard_server_rows_total", "Rows that were predicted")
REFUSED = Counter("modelyard_server_refused_total", "Prediction requests refused because too many were waiting")
WAITING = Gauge("modelyard_server_waiting_requests", "Prediction requests that wait for a thread")
WRITING = Gauge("modelyard_server_writing_answers", "Answers that are written token by token at the moment")
TOKENS = Counter("modelyard_server_tokens_total", "Tokens that were written")
MODEL = Gauge("modelyard_server_model_info", "Always 1; the labels name what is served", ["model", "version", "run"])
START_SECONDS = Gauge("modelyard_server_start_seconds", "Time from the start of the process to ready")


def count(protocol: str, code: str, seconds: float) -> None:
    """One answered prediction request: v1, v2 or grpc, with its HTTP or gRPC status."""
    REQUESTS.labels(protocol, code).inc()
    SECONDS.labels(protocol).observe(seconds)
