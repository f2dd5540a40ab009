"""Pictures take the whole road: prepared, learnt from scratch, evaluated, exported, answered by the server's code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, TrainConfig
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import opened
from modelyard_server.predictor import Predictor
from modelyard_trainer.tasks import images, rows_of
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.pictures import classified, detected

MADE = {"image-classification": classified, "object-detection": detected}
TRAIN = {"epochs": 8, "learningRate": 1e-2, "batchSize": 16, "precision": "fp32"}


@pytest.fixture(scope="module")
def prepared(harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """A Dataset of each task, from Parquet with the pictures in it."""
    return {task: prepare(harness, task, tmp_path_factory.mktemp("parquet")) for task in MADE}


def prepare(harness: TrainerHarness, task: str, folder: Path) -> dict[str, str]:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(MADE[task](300, seed=5)), folder / "rows.parquet")
    uri = harness.put(f"raw/{task}.parquet", (folder / "rows.parquet").read_bytes())
    config = harness.prepare_config(f"pictures-{task}", {"s3": {"uri": uri}}, task=task)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    manifest = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))
    return {"prefix": config.prefix, "digest": manifest["info"]["digest"]}


def finished(
    harness: TrainerHarness, name: str, task: str, start: str, data: dict[str, str], **train: Any
) -> TrainConfig:
    changes = {"task": task, "scratch": start, "input": {}, "train": {**TRAIN, **train}}
    config = harness.train_config(name, None, data, **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


@pytest.mark.parametrize(
    ("task", "start", "baseline"),
    [
        ("image-classification", "cnn", "majority"),
        ("image-classification", "resnet", "majority"),
        pytest.param("image-classification", "vit", "", marks=pytest.mark.full),
        ("object-detection", "dense", "mean_box"),
    ],
)
def test_a_run_from_scratch_is_served(
    harness: TrainerHarness, prepared: dict[str, dict[str, str]], tmp_path: Path, task: str, start: str, baseline: str
) -> None:
    """It learns, and what is published answers a picture of its own as the manifest tells."""
    config = finished(harness, f"road-{start}", task, start, prepared[task])
    report = harness.report(config)
    (metrics,) = report.metrics
    if baseline:
        assert metrics.values[metrics.primary] > report.baselines[baseline] + 0.1
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    info = ModelInfo.model_validate(Manifest.model_validate_json(harness.store.get(BUCKET, key)).info)
    assert (info.base, info.labels) == (None, ["blue", "green", "red"])
    fetch_verified(harness.store, BUCKET, layout.version_prefix(config.prefix), tmp_path)
    predictor = Predictor(opened(tmp_path, info))
    predictor.check()
    (row,) = MADE[task](1, seed=9)
    (answer,) = predictor.predict([rows_of(task).instance(row)])
    assert predictor.codec.finite(answer)
    with pytest.raises(ValueError, match="the image of row 1 is a broken picture"):
        predictor.predict([row["image"], row["image"][:-40]])


def test_a_run_repeats_what_its_pictures_became(harness: TrainerHarness, prepared: dict[str, dict[str, str]]) -> None:
    """The same seed gives the same weights, augmentation and all; another seed others."""
    data, losses = prepared["image-classification"], []
    for name, seed in (("first", 7), ("again", 7), ("other", 8)):
        config = finished(harness, name, "image-classification", "cnn", data, epochs=1, seed=seed)
        losses.append(harness.report(config).train["loss"])
    assert losses[0] == losses[1] != losses[2]


def test_pictures_are_asked_for_in_a_size(harness: TrainerHarness, prepared: dict[str, dict[str, str]]) -> None:
    asked = {"input": {"image": {"size": 16, "augment": "none"}}}
    changes = {"task": "image-classification", "scratch": "cnn", "train": {**TRAIN, "epochs": 1}, **asked}
    config = harness.train_config("small", None, prepared["image-classification"], export=["safetensors"], **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    info = ModelInfo.model_validate(Manifest.model_validate_json(harness.store.get(BUCKET, key)).info)
    lens = images.Lens.of(info.codec["lens"])
    assert (lens.height, lens.width) == (16, 16)
