"""A task that only a foreign trainer knows: never a Job of ours, and a version with whatever that trainer reported."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import TrainConfig
from tests.builders import Built, a_dataset, a_finetunejob, a_profile, a_published_model
from tests.unit.resources.finetunejob.harness import JobHarness

FOREIGN = {"image": "theirs:1", "command": ["train"]}
GATE = {"gate": {"require": [{"metric": "rmse", "max": 4}]}}


def asked(profile: Built, **spec: Any) -> JobHarness:
    fields = {"from": {"scratch": {"own": {}}}, "task": "custom", "evaluate": GATE, **spec}
    harness = JobHarness(a_finetunejob(**fields), profile, a_dataset(task="custom").prepared())
    harness.settle()
    return harness


@pytest.mark.parametrize("trainer", [{}, {"image": "modelyard/trainer:1"}])
def test_under_our_own_trainer_it_waits_for_another_profile_without_a_job(trainer: dict[str, Any]) -> None:
    harness = asked(a_profile(trainer=trainer))
    assert harness.reason == names.NOT_ALLOWED and not harness.named("Job")
    assert "task custom needs" in harness.message.replace(":", "") and "spec.trainer.command" in harness.message
    assert "TrainingProfile default has no command: name another in spec.profile" in harness.message
    harness.put(a_profile(trainer=FOREIGN))
    harness.settle()
    assert len(harness.named("Job")) == 1


def test_what_its_pod_is_told() -> None:
    harness = asked(a_profile(trainer=FOREIGN), train={"learningRate": 0.3})
    (config,) = harness.named("ConfigMap")
    told = TrainConfig.model_validate_json(harness.children["ConfigMap", config]["data"]["run.json"])
    assert (told.task, told.scratch, told.base) == ("custom", "own", None)
    assert (told.train.learning_rate, told.train.epochs) == (0.3, 1)
    assert told.input.dump() == {} and told.method.kind == "full"
    assert "train.epochs" in told.by_recipe and "train.learningRate" not in told.by_recipe


def test_a_base_and_none_are_different_runs() -> None:
    profile = a_profile(trainer=FOREIGN)
    starts: list[dict[str, Any]] = [{"scratch": {"own": {}}}, {"base": "s3://base/minilm/"}]
    ids = {asked(profile, **{"from": start}).run["id"] for start in starts}
    assert len(ids) == 2


def published(run: str, **info: Any) -> dict[str, Any]:
    found = a_published_model(run)
    written = {"format": "joblib", "precision": "fp64", "files": ["model.joblib"]}
    measured = {"set": "test", "primary": "rmse", "values": {"rmse": 3.25, "r2": 0.5}, "perClass": {}}
    found["manifest"]["info"] |= {"task": "custom", "labels": [], "codec": {}, "sample": {}, "base": None}
    found["manifest"]["info"] |= {"artifacts": [written], "metrics": [measured], **info}
    return found


def ended(harness: JobHarness) -> JobHarness:
    harness.pod(lambda pod: pod.exited(0))
    harness.job(lambda job: job.succeeded())
    harness.settle()
    return harness


@pytest.mark.parametrize(
    ("require", "gate", "told"),
    [
        ([{"metric": "rmse", "max": 4}], "passed", ""),
        ([{"metric": "rmse", "max": 3}], "failed", "rmse 3.25 is above 3"),
        ([{"metric": "wer", "max": 3}], "failed", "it was not measured; there are: r2, rmse"),
    ],
)
def test_its_version_is_judged_by_what_it_reported(require: list[Any], gate: str, told: str) -> None:
    harness = asked(a_profile(trainer=FOREIGN), evaluate={"gate": {"require": require}})
    stored = published(harness.run["id"])
    harness.facts |= {"manifest": stored, "verified": stored}
    ended(harness)
    assert harness.status.get("version"), harness.message
    spec = harness.others["ModelVersion", harness.status["version"]]["spec"]
    assert (spec["task"], [found["format"] for found in spec["artifacts"]]) == ("custom", ["joblib"])
    assert "base" not in spec["lineage"]["trained"]
    assert (harness.status["gate"], harness.status["metric"]) == (gate, "rmse 3.250")
    assert told in harness.message
