"""Whole runs: from rows in a store to a version that answers as it was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, TrainConfig
from modelyard.storage.fetch import fetch_verified
from modelyard_trainer.graphs import onnx_graphs
from modelyard_trainer.tasks import load_codec
from tests.trainer.harness import BUCKET, TrainerHarness

METHODS: dict[str, dict[str, Any]] = {
    "full": {"method": {"full": {}}},
    "lora": {
        "method": {"lora": {"rank": 8}},
        "train": {"epochs": 2, "learningRate": 5e-3, "batchSize": 16},
    },
}


@pytest.fixture(scope="module", params=METHODS)
def finished(
    request: pytest.FixtureRequest, harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> TrainConfig:
    config = harness.train_config(f"run-{request.param}", base, dataset, **METHODS[request.param])
    code, outcome = harness.run(config)
    assert (code, outcome.outcome) == (ExitCode.PUBLISHED, "published"), outcome
    return config


def manifest_of(harness: TrainerHarness, config: TrainConfig) -> Manifest:
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    return Manifest.model_validate_json(harness.store.get(BUCKET, key))


def test_learns_more_than_the_commonest_class(harness: TrainerHarness, finished: TrainConfig) -> None:
    report = harness.report(finished)
    assert report.baselines["majority"] < 0.3
    assert report.metrics[0].values["macro_f1"] > report.baselines["majority"] + 0.4
    assert report.baselines["tfidf_logistic_regression"] > 0.8
    assert report.train["steps"] > 0
    assert report.train["tokens_per_second"] > 0
    assert set(report.stages) == {"fetch", "load", "adapt", "train", "evaluate", "export", "publish"}


def test_onnx_answers_as_torch_did(harness: TrainerHarness, finished: TrainConfig, tmp_path: Path) -> None:
    fetch_verified(harness.store, BUCKET, layout.version_prefix(finished.prefix), tmp_path)
    info = ModelInfo.model_validate(manifest_of(harness, finished).info)
    difference = {found.format_: found.difference for found in info.artifacts}["onnx"]
    assert difference is not None and difference < 1e-4
    codec, graphs = load_codec(info.task, tmp_path, info.codec, info.labels), onnx_graphs(tmp_path)
    read = codec.read([info.sample, "great lovely day", "awful"])
    one, many = codec.answer(graphs, read[:1]), codec.answer(graphs, read)
    assert np.allclose(one[0], many[0], atol=1e-4)
    assert codec.decode(many[1], read[1])["label"] == "good"


def test_version_loads_in_the_usual_library(harness: TrainerHarness, finished: TrainConfig, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    fetch_verified(harness.store, BUCKET, layout.version_prefix(finished.prefix), tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    logits = model.eval()(**tokenizer(["rude broken cold place"], return_tensors="pt")).logits
    assert model.config.id2label[int(logits.argmax())] == "bad"


def test_manifest_names_files_and_lineage(harness: TrainerHarness, finished: TrainConfig) -> None:
    manifest = manifest_of(harness, finished)
    names = {entry.path for entry in manifest.files}
    assert {"model.safetensors", "config.json", "tokenizer.json", "model.onnx", "report.json"} <= names
    info = ModelInfo.model_validate(manifest.info)
    assert finished.base is not None
    assert (info.dataset, info.base) == (finished.dataset.digest, finished.base.digest)
    assert info.labels == ["bad", "good", "plain"]
    assert info.sample


def test_history_lies_in_the_store(harness: TrainerHarness, finished: TrainConfig) -> None:
    history = harness.store.get(BUCKET, layout.history_key(finished.prefix)).decode().splitlines()
    losses = [json.loads(line)["loss"] for line in history if "loss" in json.loads(line)]
    assert losses[-1] < losses[0]
    assert any("validation_macro_f1" in json.loads(line) for line in history)
    assert harness.store.list(BUCKET, layout.tensorboard_prefix(finished.prefix))


def test_published_run_is_adopted(harness: TrainerHarness, finished: TrainConfig) -> None:
    before = harness.report(finished)
    code, outcome = harness.run(finished)
    assert code == ExitCode.PUBLISHED
    assert outcome.digest == before.outcome.digest
    assert harness.report(finished).metrics == before.metrics


def test_only_safetensors(harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]) -> None:
    train = {"epochs": 1, "batchSize": 64, "precision": "auto"}
    config = harness.train_config("run-plain", base, dataset, export=["safetensors"], train=train)
    code, _ = harness.run(config)
    assert code == ExitCode.PUBLISHED
    names = {entry.path for entry in manifest_of(harness, config).files}
    assert "model.safetensors" in names
    assert "model.onnx" not in names
