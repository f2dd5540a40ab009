"""Killed at random steps in processes of their own, a run ends with the very loss of a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from safetensors.numpy import load

from modelyard.api import layout
from modelyard.api.run import ExitCode, TrainConfig
from modelyard_trainer import pipeline
from modelyard_trainer.command import make_run
from modelyard_trainer.stopping import Stop
from tests.trainer.harness import BUCKET, TrainerHarness, environment

EPOCHS = 2
TRAIN = {"epochs": EPOCHS, "learningRate": 2e-3, "batchSize": 16, "precision": "fp32"}
KINDS: dict[str, dict[str, Any]] = {
    "full": {"method": {"full": {}}, "train": TRAIN},
    "lora": {"method": {"lora": {"rank": 4}}, "train": TRAIN, "microBatch": 6},
}
POINTS = [(kind, word) for kind in KINDS for word in ("SIGKILL", "SIGTERM")]
SOME, ALL = 1, 5
"""Random steps per kind of training and signal: 4 in all, 20 in a full run; and the end of an epoch."""


class Trained:
    """How a run ended: validation loss, last training loss, steps, the best of them, and the published weights."""

    def __init__(self, harness: TrainerHarness, config: TrainConfig) -> None:
        text = harness.store.get(BUCKET, layout.history_key(config.prefix)).decode()
        lines = [json.loads(line) for line in text.splitlines()]
        self.validation = [line["validation_loss"] for line in lines if "validation_loss" in line][-1]
        self.loss = [line["loss"] for line in lines if "loss" in line][-1]
        report = harness.report(config)
        self.steps, self.best = report.train["steps"], report.train["best_step"]
        self.evaluations, self.reported_loss = report.train["evaluations"], report.train["loss"]
        version = layout.version_prefix(config.prefix)
        self.weights = load(harness.store.get(BUCKET, harness.file_key(version, "model.safetensors")))

    def differs_by(self, other: Trained) -> float:
        """Largest difference of a published weight."""
        return max(float(abs(value - other.weights[name]).max()) for name, value in self.weights.items())


@pytest.fixture(scope="module")
def undisturbed(harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]) -> dict[str, Trained]:
    found = {}
    for kind in KINDS:
        config = make_config(harness, base, dataset, f"whole-{kind}", kind)
        assert os.waitstatus_to_exitcode(in_child(harness, config)) == ExitCode.PUBLISHED
        found[kind] = Trained(harness, config)
    return found


def make_config(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], run: str, kind: str
) -> TrainConfig:
    """Checkpoints as often as the store takes them, and every step in the history."""
    return harness.train_config(run, base, dataset, export=["safetensors"], checkpointEvery=0, **KINDS[kind])


def in_child(
    harness: TrainerHarness,
    config: TrainConfig,
    step: int = 0,
    word: str = "SIGKILL",
    strike: Callable[..., None] | None = None,
) -> int:
    """The pod's program in a forked process, which gets a signal at a step; gives its wait status.

    `strike` gets the run's progress, the step and the signal, and sees to it that it comes.
    """
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 1
    try:
        with environment(harness.environment()):
            stop = Stop()
            stop.install(lambda: None)
            run = make_run(config, harness.work / f"{config.run}-{os.getpid()}", stop)
            if step:
                (strike or _strike)(run.progress, step, signal.Signals[word])
            code = int(pipeline.execute(run)[0])
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _strike(progress: Any, at: int, number: signal.Signals) -> None:
    """Send ourselves a signal when that step is reported: amid the callbacks, before its checkpoint."""
    update = progress.update

    def struck(**changes: Any) -> None:
        update(**changes)
        if changes.get("step") == at and "epoch" in changes:
            os.kill(os.getpid(), number)

    progress.update = struck


@pytest.mark.parametrize(("kind", "word"), POINTS)
@pytest.mark.parametrize("points", [SOME, pytest.param(ALL, marks=pytest.mark.full)])
def test_the_loss_is_as_if_nothing_had_happened(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], undisturbed: dict[str, Trained],
    kind: str, word: str, points: int,
) -> None:  # fmt: skip
    expected = undisturbed[kind]
    steps = {*random.sample(range(2, expected.steps), points)}
    if word == "SIGTERM":
        steps.add(expected.steps // EPOCHS)  # there the undisturbed run evaluates, and the resumed one does not
    for step in steps:
        config = make_config(harness, base, dataset, f"{word}-{kind}-{step}-{points}".lower(), kind)
        ended = os.waitstatus_to_exitcode(in_child(harness, config, step, word))
        assert ended == (-signal.SIGKILL if word == "SIGKILL" else ExitCode.INTERRUPTED)
        saved = max(harness.checkpoints(config), default=0)
        assert saved == step if word == "SIGTERM" else saved < step, (step, saved)
        assert word == "SIGKILL" or len(harness.checkpoints(config)) <= config.checkpoint_keep
        assert os.waitstatus_to_exitcode(in_child(harness, config)) == ExitCode.PUBLISHED
        found = Trained(harness, config)
        assert harness.report(config).train["resumed_from"] == saved
        assert found.steps == expected.steps
        assert abs(found.validation - expected.validation) < 1e-3, (step, found.validation, expected.validation)
        assert abs(found.loss - expected.loss) < 1e-3, (step, found.loss, expected.loss)
        assert (found.best, found.evaluations) == (expected.best, expected.evaluations)
        assert found.differs_by(expected) < 1e-3


def _strike_in_evaluation(progress: Any, at: int, number: signal.Signals) -> None:
    """Send ourselves a signal amid the evaluation after that step."""
    from modelyard_trainer.callbacks import Choosing

    look = Choosing.on_prediction_step

    def struck(self: Any, args: Any, state: Any, control: Any, **others: Any) -> None:
        if state.global_step == at:
            os.kill(os.getpid(), number)
        look(self, args, state, control, **others)

    Choosing.on_prediction_step = struck  # type: ignore[method-assign]


def _strike_after_training(progress: Any, at: int, number: signal.Signals) -> None:
    """Send ourselves a signal when the test rows are about to be measured."""
    update = progress.update

    def struck(**changes: Any) -> None:
        update(**changes)
        if changes.get("stage") == "evaluate":
            os.kill(os.getpid(), number)

    progress.update = struck


LATE = {
    "the epoch's evaluation": (_strike_in_evaluation, 1),
    "the last evaluation": (_strike_in_evaluation, 2),
    "after training": (_strike_after_training, 2),
}


@pytest.mark.parametrize("word", ["SIGKILL", "SIGTERM"])
@pytest.mark.parametrize("moment", LATE)
def test_the_best_weights_are_as_if_nothing_had_happened(
    harness: TrainerHarness,
    base: dict[str, str],
    dataset: dict[str, str],
    undisturbed: dict[str, Trained],
    moment: str,
    word: str,
) -> None:
    strike, epoch = LATE[moment]
    expected = undisturbed["full"]
    step = expected.steps * epoch // EPOCHS
    config = make_config(harness, base, dataset, f"late-{word}-{list(LATE).index(moment)}".lower(), "full")
    ended = os.waitstatus_to_exitcode(in_child(harness, config, step, word, strike))
    assert ended == (-signal.SIGKILL if word == "SIGKILL" else ExitCode.INTERRUPTED)
    if word == "SIGTERM" and strike is _strike_in_evaluation:
        assert max(harness.checkpoints(config)) == step
    assert os.waitstatus_to_exitcode(in_child(harness, config)) == ExitCode.PUBLISHED
    found = Trained(harness, config)
    assert (found.steps, found.best, found.evaluations) == (expected.steps, expected.best, expected.evaluations)
    assert found.reported_loss == pytest.approx(expected.reported_loss, abs=1e-4)
    assert found.differs_by(expected) < 1e-4
