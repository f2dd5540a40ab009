"""Gauges over the cache, and what a status write counts."""

from __future__ import annotations

from typing import Any

from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.cache import Cache
from modelyard.engine.figures import Figures, count


def obj(kind: str, name: str, spec: Manifest | None = None, status: Manifest | None = None) -> Manifest:
    meta = {"name": name, "namespace": "team", "resourceVersion": "1"}
    return {"kind": kind, "metadata": meta, "spec": spec or {}, "status": status or {}}


def shown(*objects: Manifest) -> dict[tuple[str, ...], float]:
    """(family, label values in the family's order) -> value."""
    cache = Cache()
    for one in objects:
        cache.put(one)
    families = Figures(cache, lambda: {"Job": 3.0}).collect()
    return {(f.name, *s.labels.values()): s.value for f in families for s in f.samples}


def ready(reason: str) -> Manifest:
    return {"conditions": [{"type": "Ready", "status": "False", "reason": reason}]}


def test_objects_by_phase_and_reason() -> None:
    failed = {"phase": "Failed", **ready("OutOfMemory")}
    jobs = (obj("FineTuneJob", name, status=failed) for name in "ab")
    found = shown(*jobs, obj("Dataset", "rows"))
    assert found["modelyard_objects", "FineTuneJob", "team", "Failed", "OutOfMemory"] == 2
    assert found["modelyard_objects", "Dataset", "team", "", ""] == 1


def test_progress_of_running_jobs_only() -> None:
    running = obj("FineTuneJob", "a", status={"phase": "Training", "progress": {"percent": 41}})
    ended = obj("FineTuneJob", "b", status={"phase": "Succeeded", "progress": {"percent": 100}})
    found = {key: value for key, value in shown(running, ended).items() if "progress" in key[0]}
    assert found == {("modelyard_run_progress_ratio", "team", "a"): 0.41}


def test_scores_of_the_newest_version() -> None:
    """Of the test rows, by whatever names they have."""
    versions = [
        obj("ModelVersion", f"reviews-{n}", {"model": "reviews", "number": n, "metrics": [on("test", wer=n / 100)]})
        for n in (9, 10, 2)
    ]
    versions[1]["spec"]["metrics"].append(on("later", wer=0.9))
    found = {key: value for key, value in shown(*versions).items() if "score" in key[0]}
    assert found == {("modelyard_version_score", "team", "reviews", "10", "wer"): 0.1}


def on(name: str, **values: float) -> dict[str, Any]:
    return {"set": name, "primary": "wer", "values": values}


def said(number: int, state: str, **more: Any) -> Manifest:
    return {"versions": [{"number": number, "state": state, **more}]}


SERVES_7 = said(7, "serving")


def test_what_serves_and_which_watch_is_behind() -> None:
    found = shown(obj("ModelDeployment", "shop", {"model": {"name": "reviews"}}, SERVES_7))
    assert found["modelyard_serving_version", "team", "shop", "reviews"] == 7
    assert found["modelyard_watch_lag_seconds", "Job"] == 3.0


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def run(state: str, **more: Any) -> Manifest:
    times = {"startedAt": "2026-11-22T10:00:00Z", "finishedAt": "2026-11-22T10:01:30Z"}
    return {"run": {"id": "r1", "state": state, **times}, **more}


def test_a_run_is_counted_at_the_write_that_ends_it() -> None:
    labels = {"namespace": "team", "outcome": "Failed", "reason": "OutOfMemory"}
    before, seconds = (
        value("modelyard_runs_finished_total", **labels),
        value("modelyard_run_duration_seconds_sum", outcome="Failed"),
    )
    job = obj("FineTuneJob", "a")
    failed = {**run("Failed"), **ready("OutOfMemory")}
    count(job, {}, run("Running"))
    count(job, run("Running"), failed)
    count(job, failed, {**failed, "observedGeneration": 2})
    assert value("modelyard_runs_finished_total", **labels) == before + 1
    assert value("modelyard_run_duration_seconds_sum", outcome="Failed") == seconds + 90


def test_resumes_gates_and_rollouts() -> None:
    names = {
        "modelyard_run_resumes_total": {"namespace": "team"},
        "modelyard_gate_verdicts_total": {"namespace": "team", "verdict": "failed"},
        "modelyard_rollouts_total": {"namespace": "team", "outcome": "served"},
    }
    before = {name: value(name, **labels) for name, labels in names.items()}
    count(obj("FineTuneJob", "a"), run("Running", resumes=1), run("Running", resumes=3))
    count(obj("ModelVersion", "v"), {"gate": "passed"}, {"gate": "failed"})
    count(obj("ModelVersion", "v"), {"gate": "failed"}, {"gate": "failed", "deployedBy": ["x"]})
    count(obj("ModelDeployment", "d"), said(6, "serving"), SERVES_7)
    starts_8 = {"versions": [*SERVES_7["versions"], *said(8, "candidate")["versions"]]}
    count(obj("ModelDeployment", "d"), SERVES_7, starts_8)
    assert [value(name, **labels) - before[name] for name, labels in names.items()] == [2, 1, 1]


def test_a_failed_candidate_is_counted_once_per_try() -> None:
    labels = {"namespace": "team", "outcome": "failed"}
    before = value("modelyard_rollouts_total", **labels)
    failed = said(8, "failed", generation=1)
    for old, new in (({}, failed), (failed, failed), (failed, said(8, "failed", generation=2))):
        count(obj("ModelDeployment", "d"), old, new)
    assert value("modelyard_rollouts_total", **labels) == before + 2


def test_a_trainer_with_many_metrics_of_its_own_gets_no_more_series_than_others() -> None:
    values = {f"m{number:02}": float(number) for number in range(64)} | {"zz": 3.0}
    told = {"set": "test", "primary": "zz", "values": values}
    found = shown(obj("ModelVersion", "own-1", {"model": "own", "number": 1, "metrics": [told]}))
    names = [key[4] for key in found if key[0] == "modelyard_version_score"]
    assert names == ["zz", *(f"m{number:02}" for number in range(15))]
