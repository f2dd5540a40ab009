"""What a run learns: the order of its rows, the best weights it came by, and a rate that was too high."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, RunReport, TrainConfig
from modelyard.storage.fetch import fetch_verified
from modelyard_trainer.loop import batch_order
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.texts import codec_of, torch_logits
from tests.trainer.words import rows

TRAIN = {"epochs": 4, "learningRate": 2e-2, "batchSize": 16, "precision": "fp32"}


def lengths(count: int) -> np.ndarray:
    found: np.ndarray = np.random.default_rng(1).integers(4, 200, count)
    return found


@pytest.mark.parametrize("count", [1, 31, 32, 33, 1000, 5003])
def test_each_row_comes_once_an_epoch(count: int) -> None:
    order = batch_order(lengths(count), 32, 7, 0)
    assert sorted(order.tolist()) == list(range(count))


def test_batches_hold_similar_lengths_in_no_order_of_length() -> None:
    rows = lengths(6400)
    means = rows[batch_order(rows, 32, 7, 0)].reshape(-1, 32)
    spread = np.ptp(means, axis=1).mean()
    assert spread < 0.1 * np.ptp(rows)
    assert abs(np.corrcoef(np.arange(len(means)), means.mean(axis=1))[0, 1]) < 0.2
    steps = np.diff(means.mean(axis=1))
    assert abs(np.mean(np.sign(steps))) < 0.2  # neither rises nor falls for long


def test_seeds_and_epochs_have_orders_of_their_own() -> None:
    rows = lengths(640)
    found = {tuple(batch_order(rows, 32, seed, epoch)) for seed in (7, 8, 9) for epoch in (0, 1, 2)}
    assert len(found) == 9
    assert tuple(batch_order(rows, 32, 8, 1)) in found


def finished(harness: TrainerHarness, config: TrainConfig) -> RunReport:
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return harness.report(config)


def validated(harness: TrainerHarness, config: TrainConfig) -> dict[int, float]:
    """Macro F1 on the validation rows per step, as the history has it."""
    text = harness.store.get(BUCKET, layout.history_key(config.prefix)).decode()
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["step"]: line["validation_macro_f1"] for line in lines if "validation_macro_f1" in line}


def info_of(harness: TrainerHarness, config: TrainConfig) -> ModelInfo:
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    return ModelInfo.model_validate(Manifest.model_validate_json(harness.store.get(BUCKET, key)).info)


def validation_logits(harness: TrainerHarness, config: TrainConfig, folder: Path) -> np.ndarray:
    """Of the published model, in the order of the rows."""
    from transformers import AutoModelForSequenceClassification

    fetch_verified(harness.store, BUCKET, layout.version_prefix(config.prefix), folder / "version")
    texts = [row["text"] for row in harness.rows(config.dataset.prefix, "validation")]
    model = AutoModelForSequenceClassification.from_pretrained(folder / "version")
    codec = codec_of(folder / "version", [model.config.id2label[number] for number in range(model.num_labels)])
    return torch_logits(model, codec, texts)


@pytest.mark.parametrize("method", [{"full": {}}, {"lora": {"rank": 4}}])
def test_the_best_epoch_is_published(
    harness: TrainerHarness,
    base: dict[str, str],
    dataset: dict[str, str],
    tmp_path: Path,
    method: dict[str, Any],
    monkeypatch: Any,
) -> None:
    """Whatever the later epochs make of it: each validation after the first is told to be worse than it."""
    import torch

    from modelyard_trainer.loop import Loop

    answers: list[np.ndarray] = []

    def falling(loop: Loop) -> dict[str, float]:
        read, validation = loop._run.read["validation"], list(range(len(loop._validation)))
        inputs = loop._prepare_inputs(loop.data_collator([loop._validation[row] for row in validation]))
        with torch.inference_mode():
            _, outputs = loop._learner.judged(loop.model.eval(), inputs, loop._run.codec, read)
        answers.append(np.stack(outputs))
        return {"macro_f1": 1 - len(answers) / 10, "score": 1 - len(answers) / 10, "accuracy": 0.5}

    monkeypatch.setattr(Loop, "_judge", falling)
    settings = {**TRAIN, "epochs": 3, "learningRate": 2e-3 if "full" in method else 5e-3}
    config = harness.train_config(f"best-{next(iter(method))}", base, dataset, method=method, train=settings)
    report = finished(harness, config)
    assert report.train["best_step"] == report.train["steps"] // 3
    assert report.train["evaluations"] == 3
    published = validation_logits(harness, config, tmp_path)
    assert np.abs(published - answers[0]).max() < 1e-4
    assert np.abs(published - answers[-1]).max() > 0.1


def test_training_ends_once_nothing_becomes_better(harness: TrainerHarness, base: dict[str, str]) -> None:
    """A third of the classes is wrong: whoever learns the training rows by heart gets worse on the others."""
    noisy = rows(600)
    for row, other in zip(noisy[::3], noisy[1::3], strict=True):
        row["label"] = other["label"]
    dataset = harness.prepared("noisy", texts=noisy)
    settings = {**TRAIN, "epochs": 30, "learningRate": 5e-3, "earlyStopping": {"patience": 2}, "linearProbe": False}
    config = harness.train_config("early", base, dataset, method={"full": {}}, train=settings, export=["safetensors"])
    report = finished(harness, config)
    found = validated(harness, config)
    assert len(found) < 30
    assert report.train["steps"] == max(found)
    assert list(found.values())[-3] == max(found.values())


def test_a_rate_that_is_too_high_is_lowered_once(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    settings = {**TRAIN, "learningRate": 5e-2}
    config = harness.train_config("lowered", base, dataset, train=settings, checkpointEvery=0, export=["safetensors"])
    report = finished(harness, config)
    assert report.train["diverged"]["from"] == 5e-2
    assert report.train["learning_rate"] == report.train["diverged"]["to"] == 1e-2
    assert report.metrics[0].values["macro_f1"] > 0.9
    warnings = {warning.reason: warning.message for warning in info_of(harness, config).warnings}
    assert set(warnings) == {names.RATE_LOWERED}
    assert "0.01 in place of 0.05" in warnings[names.RATE_LOWERED]


def test_a_run_that_learned_nothing_says_so(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    settings = {**TRAIN, "epochs": 2, "learningRate": 1.0, "linearProbe": False}
    config = harness.train_config("nothing", base, dataset, train=settings, export=["safetensors"])
    report = finished(harness, config)
    assert report.metrics[0].values["macro_f1"] <= report.baselines["majority"]
    warnings = {warning.reason: warning.message for warning in info_of(harness, config).warnings}
    assert set(warnings) == {names.NOTHING_LEARNED, names.RATE_LOWERED}
    assert "spec.train.learningRate" in warnings[names.NOTHING_LEARNED]


def test_the_head_starts_as_a_logistic_regression(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    """At a rate that changes nothing it knows the classes, better than random weights happen to."""
    f1 = {}
    for probed in (True, False):
        settings = {**TRAIN, "epochs": 1, "learningRate": 1e-9, "linearProbe": probed}
        config = harness.train_config(f"probe-{probed}".lower(), base, dataset, train=settings, export=["safetensors"])
        report = finished(harness, config)
        assert ("linear_probe" in report.train) == probed
        f1[probed] = report.metrics[0].values["macro_f1"]
    assert f1[True] > max(0.95, f1[False] + 0.1)


def test_a_run_that_learned_warns_of_nothing(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    config = harness.train_config("quiet", base, dataset, train={**TRAIN, "learningRate": 1e-3}, export=["safetensors"])
    finished(harness, config)
    assert info_of(harness, config).warnings == []
