"""Training that goes on from a version: it begins with its answers, and keeps its classes and how it reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, ModelInfo, TrainConfig, format_digest
from modelyard.storage.fetch import fetch_verified, read_manifest
from modelyard_server.load import opened
from modelyard_server.predictor import Predictor
from modelyard_trainer.command import make_run
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stages import adapt, evaluate, fetch, load
from modelyard_trainer.stopping import Stop
from tests.trainer import words
from tests.trainer.harness import BUCKET, TrainerHarness, environment
from tests.trainer.labelled import labelled_rows
from tests.trainer.pictures import classified, detected
from tests.trainer.questions import question_rows
from tests.trainer.tagged import json_lines_of, tagged_rows
from tests.trainer.translators import pairs

QUICK = {"epochs": 2, "learningRate": 3e-3, "batchSize": 16, "precision": "fp32"}


def pin(harness: TrainerHarness, config: TrainConfig, **changes: Any) -> dict[str, Any]:
    """What the operator pins of a published version."""
    prefix = layout.version_prefix(config.prefix)
    manifest, digest = read_manifest(harness.store, BUCKET, prefix)
    content = format_digest(manifest.files, "safetensors")
    found = {"uri": f"s3://{BUCKET}/{prefix}", "digest": content, "version": {"name": "words-1", "manifest": digest}}
    return {**found, **changes}


def info_of(harness: TrainerHarness, config: TrainConfig) -> ModelInfo:
    manifest, _ = read_manifest(harness.store, BUCKET, layout.version_prefix(config.prefix))
    return ModelInfo.model_validate(manifest.info)


def prepared(
    harness: TrainerHarness, name: str, task: str, rows: Sequence[dict[str, Any]], folder: Path
) -> dict[str, str]:
    if isinstance(next(iter(rows[0].values())), bytes):
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.Table.from_pylist(list(rows)), folder / "rows.parquet")
        uri = harness.put(f"raw/{name}.parquet", (folder / "rows.parquet").read_bytes())
    else:
        data = json_lines_of(list(rows)) if "tokens" in rows[0] else words.json_lines(rows)
        uri = harness.put(f"raw/{name}.jsonl", data)
    config = harness.prepare_config(name, {"s3": {"uri": uri}}, task=task)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return {
        "prefix": config.prefix,
        "digest": json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]["digest"],
    }


def trained(harness: TrainerHarness, run: str, base: Any, data: dict[str, str], **changes: Any) -> TrainConfig:
    config = harness.train_config(run, base, data, **{"train": QUICK, **changes})
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def loaded(harness: TrainerHarness, config: TrainConfig, folder: Path) -> TrainRun:
    """As training would begin."""
    with environment(harness.environment()):
        run = make_run(config, folder, Stop())
        assert isinstance(run, TrainRun)
        for stage in (fetch, load, adapt):
            stage.execute(run)
        run.progress.close()
    return run


def asked(count: int) -> list[dict[str, Any]]:
    """Questions, some of them about texts of several windows."""
    return [*question_rows(count), *question_rows(count // 4, seed=1, words=(30, 60))]


ROADS = [
    ("text-classification", None, lambda: words.rows(300), {}),
    ("multi-label-classification", None, lambda: labelled_rows(300), {}),
    ("token-classification", None, lambda: tagged_rows(200), {"train": {**QUICK, "epochs": 8, "learningRate": 1e-2}}),
    ("question-answering", None, lambda: asked(200), {"train": {**QUICK, "learningRate": 5e-3}}),
    ("image-classification", "cnn", lambda: classified(120), {"input": {}}),
    ("image-classification", "resnet", lambda: classified(120), {"input": {}}),
    ("object-detection", "dense", lambda: detected(90), {"input": {}}),
    pytest.param(
        "summarization",
        "transformer",
        lambda: [{"text": row["source"], "summary": row["target"]} for row in pairs(150)],
        {"train": {"epochs": 10, "learningRate": 2e-3, "batchSize": 8, "precision": "fp32"}},
        marks=pytest.mark.full,
    ),
    pytest.param(
        "translation",
        "transformer",
        lambda: pairs(150),
        {"train": {"epochs": 20, "learningRate": 2e-3, "batchSize": 8, "precision": "fp32"}},
        marks=pytest.mark.full,
    ),
]


@pytest.mark.parametrize(("task", "start", "rows", "changes"), ROADS)
def test_before_the_first_step_it_measures_what_the_version_did(
    harness: TrainerHarness, base: Any, tmp_path: Path, task: str, start: str | None, rows: Any, changes: Any
) -> None:
    """The same weights, head, tokenizer and lens: the same figures on the same rows."""
    name = f"before-{task}-{start}"
    data = prepared(harness, name, task, rows(), tmp_path)
    only = {**changes, "export": ["safetensors"]}
    first = trained(harness, name, None if start else base, data, task=task, scratch=start, **only)
    second = harness.train_config(f"{name}-2", pin(harness, first), data, task=task, **changes)
    run = loaded(harness, second, tmp_path)
    assert run.fresh == []
    evaluate.execute(run)
    assert run.metrics == info_of(harness, first).metrics
    assert run.metrics[0].values[run.metrics[0].primary] > 0


@pytest.fixture(scope="module")
def first(harness: TrainerHarness, base: Any, tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A classifier of good, bad and plain that reads 24 tokens."""
    data = prepared(harness, "on-first", "text-classification", words.rows(300), tmp_path_factory.mktemp("rows"))
    return trained(harness, "on-first", base, data, input={"text": {"maxLength": 24}}, export=["safetensors"])


def renamed(rows: list[dict[str, str]], **classes: str) -> list[dict[str, str]]:
    return [{**row, "label": classes.get(row["label"], row["label"])} for row in rows]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_classes_in_common_are_kept_and_others_begin_anew(
    harness: TrainerHarness, first: TrainConfig, tmp_path: Path, method: str
) -> None:
    """As many classes, one of them another: the row of the one that is gone is not the new one's."""
    name = f"on-renamed-{method}"
    data = prepared(harness, name, "text-classification", renamed(words.rows(300), plain="usual"), tmp_path)
    changes: dict[str, Any] = {"method": {method: {}}, "input": {"text": {"maxLength": 24}}}
    second = harness.train_config(name, pin(harness, first), data, **changes, train=QUICK)
    run = loaded(harness, second, tmp_path / "loaded")
    plain = run.model.get_base_model() if method == "lora" else run.model
    head = {key: weight.detach().numpy() for key, weight in plain.classifier.state_dict().items()}
    weight = next(value for key, value in head.items() if key.endswith("weight") and "original" not in key)
    before = _tensor(harness, first, "classifier.weight")
    assert run.codec.labels == ["bad", "good", "usual"]
    assert np.array_equal(weight[:2], before[:2])
    assert not np.allclose(weight[2], before[2])
    assert run.figures["classes"] == {"kept": 2, "new": 1, "dropped": ["plain"]}
    assert run.fresh == []
    if method == "lora":
        return
    code, outcome = harness.run(second)
    assert code == ExitCode.PUBLISHED, outcome.message
    info, report = info_of(harness, second), harness.report(second)
    assert (info.parents, info.base) == (["words-1"], pin(harness, first)["digest"])
    assert report.metrics[0].values["macro_f1"] > report.baselines["majority"] + 0.3
    assert {one.reason for one in info.warnings} == {names.CLASSES_DROPPED}
    assert "plain" in info.warnings[0].message


def _tensor(harness: TrainerHarness, config: TrainConfig, name: str) -> np.ndarray:
    from safetensors.numpy import load as load_tensors

    key = harness.file_key(layout.version_prefix(config.prefix), "model.safetensors")
    found: np.ndarray = load_tensors(harness.store.get(BUCKET, key))[name]
    return found


def test_classes_that_it_never_saw_begin_as_a_linear_probe(
    harness: TrainerHarness, first: TrainConfig, tmp_path: Path
) -> None:
    rows = renamed(words.rows(300), good="1", bad="2", plain="3")
    data = prepared(harness, "on-unseen", "text-classification", rows, tmp_path)
    config = trained(harness, "on-unseen", pin(harness, first), data, export=["safetensors"])
    assert info_of(harness, config).labels == ["1", "2", "3"]
    assert harness.report(config).train["linear_probe"]["rows"] > 100
    assert harness.report(config).train["classes"]["kept"] == 0


def test_other_tasks_of_texts_go_on_from_a_classifier_and_back(
    harness: TrainerHarness, first: TrainConfig, tmp_path: Path
) -> None:
    """The encoder is the version's; a head of as many classes is another task's, and says nothing."""
    rows = [{"tokens": ["thing1", "great", "was"], "tags": ["O", "B-a", "O"]}, *tagged_rows(150)]
    data = prepared(harness, "on-tags", "token-classification", rows, tmp_path)
    changes: dict[str, Any] = {"task": "token-classification", "train": QUICK, "export": ["safetensors"]}
    second = harness.train_config("on-tags", pin(harness, first), data, **changes)
    run = loaded(harness, second, tmp_path / "loaded")
    assert "classifier" in run.fresh
    for name, weight in run.model.base_model.state_dict().items():
        if name.startswith("encoder."):
            assert np.array_equal(weight.numpy(), _tensor(harness, first, f"{run.model.base_model_prefix}.{name}"))
    code, outcome = harness.run(second)
    assert code == ExitCode.PUBLISHED, outcome.message
    texts = prepared(harness, "on-back", "text-classification", words.rows(150), tmp_path)
    back = loaded(harness, harness.train_config("on-back", pin(harness, second), texts), tmp_path / "back")
    assert any("classifier" in name for name in back.fresh)
    several = prepared(harness, "on-several", "multi-label-classification", labelled_rows(100), tmp_path)
    changes = {"task": "multi-label-classification"}
    other = harness.train_config("on-several", pin(harness, first), several, **changes)
    labels = loaded(harness, other, tmp_path / "several")
    assert any("classifier" in name for name in labels.fresh)
    assert labels.model.config.problem_type == "multi_label_classification"


def test_pictures_of_other_classes_are_read_as_the_version_reads(harness: TrainerHarness, tmp_path: Path) -> None:
    data = prepared(harness, "on-colours", "image-classification", classified(200), tmp_path)
    start = {"task": "image-classification", "input": {}}
    train = {**QUICK, "epochs": 4, "learningRate": 1e-2}
    before = trained(harness, "on-colours", None, data, scratch="cnn", train=train, **start)
    larger = [{**row, "image": _twice(row["image"])} for row in classified(200, seed=3)]
    rows = renamed(larger, red="rose", green="leaf")
    data = prepared(harness, "on-larger", "image-classification", rows, tmp_path)
    after = trained(harness, "on-larger", pin(harness, before), data, train=train, **start)
    one, two = info_of(harness, before), info_of(harness, after)
    assert two.codec == one.codec
    assert two.labels == ["blue", "leaf", "rose"]
    assert harness.report(after).train["classes"] == {"kept": 1, "new": 2, "dropped": ["green", "red"]}
    target = tmp_path / "served"
    fetch_verified(harness.store, BUCKET, layout.version_prefix(after.prefix), target)
    Predictor(opened(target, two)).check()


def _twice(picture: bytes) -> bytes:
    from modelyard_trainer.tasks import images

    found = images.opened(picture)
    return images.written(found.resize((found.width * 2, found.height * 2)))


def test_what_is_gone_or_another_is_named(harness: TrainerHarness, first: TrainConfig, tmp_path: Path) -> None:
    data = {"prefix": first.dataset.prefix, "digest": first.dataset.digest}
    known = pin(harness, first)
    gone = {**known, "uri": known["uri"].replace("on-first", "on-nothing")}
    other = {**known, "version": {**known["version"], "manifest": "sha256:" + "0" * 64}}
    told = {}
    for name, base in {"gone": gone, "other": other, "content": {**known, "digest": "sha256:" + "1" * 64}}.items():
        code, outcome = harness.run(harness.train_config(f"on-{name}", base, data))
        told[name] = (code, outcome.reason, outcome.message)
    assert told["gone"][:2] == (ExitCode.BASE_INVALID, names.BASE_NOT_FOUND)
    assert "spec.from.version: the files of words-1 are gone" in told["gone"][2]
    assert [told[name][0] for name in ("other", "content")] == [ExitCode.CORRUPT] * 2


def test_a_version_of_another_kind_of_network_is_refused_by_its_field(
    harness: TrainerHarness, first: TrainConfig, tmp_path: Path
) -> None:
    """The operator refuses it before; a pod that gets it all the same says which field to change."""
    data = prepared(harness, "on-wrong", "translation", pairs(60), tmp_path)
    config = harness.train_config("on-wrong", pin(harness, first), data, task="translation")
    code, outcome = harness.run(config)
    assert code == ExitCode.BASE_INVALID
    assert "spec.from.version is a model of type" in outcome.message
    assert "spec.from.base" not in outcome.message
