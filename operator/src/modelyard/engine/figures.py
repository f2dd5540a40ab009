"""Figures of our kinds: how many objects stand where, what serves, and what a status write brought to an end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelyard import names
from modelyard.api.kinds import KINDS
from modelyard.api.modeldeployment import FAILED, SERVING, version_in
from modelyard.api.modelversion import TEST
from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.cache import Cache

MOST_METRICS = 16
"""Series of one model."""
ENDED = ("Succeeded", "GateFailed", "Failed")


class Figures(Collector):
    """Gauges over the cache, counted when they are scraped: 1,000 objects take a few milliseconds."""

    def __init__(self, cache: Cache, lags: Callable[[], dict[str, float]]) -> None:
        self._cache, self._lags = cache, lags

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield self._objects()
        yield self._progress()
        yield self._scores()
        yield self._serving()
        lags = ((labels, seconds) for labels, seconds in self._lags().items())
        text = "Seconds that a watch is behind what is known from elsewhere; 0: nothing is owed"
        yield _family("watch_lag_seconds", text, ("kind",), (((kind,), lag) for kind, lag in lags))

    def _objects(self) -> Metric:
        counts: Counter[tuple[str, ...]] = Counter()
        for kind in (known.kind for known in KINDS):
            for obj in self._cache.all(kind):
                status = obj.get("status", {})
                counts[kind, obj["metadata"].get("namespace", ""), status.get("phase", ""), reason_of(status)] += 1
        labels = ("kind", "namespace", "phase", "reason")
        return _family("objects", "Objects by phase and by the reason of Ready", labels, counts.items())

    def _progress(self) -> Metric:
        running = (
            ((meta["namespace"], meta["name"]), status["progress"].get("percent", 0) / 100)
            for job in self._cache.all("FineTuneJob")
            if (status := job.get("status", {})).get("progress") and status.get("phase") not in ENDED
            if (meta := job["metadata"])
        )
        labels = ("namespace", "job")
        return _family("run_progress_ratio", "Done part of all stages, running jobs only", labels, running)

    def _scores(self) -> Metric:
        newest: dict[tuple[str, str], Manifest] = {}
        for version in self._cache.all("ModelVersion"):
            spec, model = version["spec"], (version["metadata"]["namespace"], version["spec"]["model"])
            if model not in newest or spec["number"] > newest[model]["number"]:
                newest[model] = spec
        labels = ("namespace", "model", "version", "metric")
        return _family("version_score", "Quality of a model's newest version on its test rows", labels, _scored(newest))

    def _serving(self) -> Metric:
        found = (
            ((meta["namespace"], meta["name"], obj["spec"]["model"]["name"]), float(number))
            for obj in self._cache.all("ModelDeployment")
            if (number := version_in(obj.get("status", {}), SERVING).get("number")) and (meta := obj["metadata"])
        )
        labels = ("namespace", "deployment", "model")
        return _family("serving_version", "Number of the version that gets the traffic", labels, found)


def _scored(newest: dict[tuple[str, str], Manifest]) -> Iterator[tuple[tuple[str, ...], float]]:
    for model, spec in newest.items():
        for measured in spec.get("metrics", ()):
            if measured.get("set") == TEST:
                for metric, value in _first(measured.get("values", {}), measured.get("primary", "")):
                    yield (*model, str(spec["number"]), metric), float(value)


def _first(values: dict[str, float], primary: str) -> list[tuple[str, float]]:
    """The primary metric and the first others by name: a trainer of somebody else's may report any number."""
    return sorted(values.items(), key=lambda item: (item[0] != primary, item[0]))[:MOST_METRICS]


def _family(name: str, text: str, labels: tuple[str, ...], rows: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(f"modelyard_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def reason_of(status: Manifest) -> str:
    """Reason of the condition Ready, empty before the first."""
    return next((c.get("reason", "") for c in status.get("conditions", ()) if c["type"] == names.READY), "")


def count(obj: Manifest, old: Manifest, new: Manifest) -> None:
    """Count what the change of a status from `old` to `new` brought to an end; called once per written status."""
    if counted := COUNTED.get(obj["kind"]):
        counted(obj["metadata"].get("namespace", ""), old, new)


def _count_run(namespace: str, old: Manifest, new: Manifest) -> None:
    before, run = old.get("run") or {}, new.get("run") or {}
    if (more := new.get("resumes", 0) - old.get("resumes", 0)) > 0:
        metrics.RESUMES.labels(namespace).inc(more)
    if run.get("state") in ENDED and (run["id"], run["state"]) != (before.get("id"), before.get("state")):
        metrics.RUNS.labels(namespace, run["state"], reason_of(new)).inc()
        if run.get("startedAt") and run.get("finishedAt"):
            metrics.RUN_SECONDS.labels(run["state"]).observe(_seconds(run["startedAt"], run["finishedAt"]))


def _count_gate(namespace: str, old: Manifest, new: Manifest) -> None:
    if new.get("gate") and new["gate"] != old.get("gate"):
        metrics.GATES.labels(namespace, new["gate"]).inc()


def _count_rollout(namespace: str, old: Manifest, new: Manifest) -> None:
    for state, outcome, about in (
        (SERVING, "served", ("number",)),
        (FAILED, "failed", ("number", "generation", "template")),
    ):
        before, now = version_in(old, state), version_in(new, state)
        if now and any(now.get(field) != before.get(field) for field in about):
            metrics.ROLLOUTS.labels(namespace, outcome).inc()


COUNTED: dict[str, Callable[[str, Manifest, Manifest], None]] = {
    "FineTuneJob": _count_run,
    "ModelVersion": _count_gate,
    "ModelDeployment": _count_rollout,
}


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
