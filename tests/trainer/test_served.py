"""Nothing is published that the server would answer otherwise than the trained model does."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.dataset import Clean
from modelyard.api.run import ExitCode, Manifest, ModelInfo
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import Loaded, load, opened
from modelyard_server.predictor import Predictor, always
from modelyard_trainer import served
from modelyard_trainer.command import make_run
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.run import TrainRun
from modelyard_trainer.served import check_merged, compare
from modelyard_trainer.stopping import Stop
from modelyard_trainer.tasks.protocols import Reading
from modelyard_trainer.tasks.text_classification.codec import TextClassifier
from modelyard_trainer.tasks.texts import WIDE, TextReader
from tests.trainer.harness import BUCKET, TrainerHarness, environment
from tests.trainer.words import json_lines, rows

QUICK = {"epochs": 1, "learningRate": 1e-3, "batchSize": 16, "precision": "fp32"}


def a_wide_dataset(harness: TrainerHarness) -> dict[str, str]:
    """Rows as a full-width keyboard writes them."""
    wide = [{**row, "text": row["text"].translate(WIDE)} for row in rows(400)]
    uri = harness.put("raw/wide.jsonl", json_lines(wide))
    config = harness.prepare_config("wide", {"s3": {"uri": uri}})
    assert harness.run(config)[0] == ExitCode.PUBLISHED
    manifest = Manifest.model_validate_json(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))
    assert manifest.info["prepare"] == [{"minChars": 1, "normalize": "nfkc"}]
    return {"prefix": config.prefix, "digest": manifest.info["digest"]}


def test_a_version_prepares_requests_as_its_rows_were(
    harness: TrainerHarness, base: dict[str, str], tmp_path: Path
) -> None:
    config = harness.train_config("run-wide", base, a_wide_dataset(harness), train={**QUICK, "epochs": 2})
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    fetch_verified(harness.store, BUCKET, layout.version_prefix(config.prefix), tmp_path)
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    (tmp_path / "manifest.json").write_bytes(harness.store.get(BUCKET, key))
    text = "rude broken cold place"
    wide, plain = Predictor(load(tmp_path)).predict([{"text": f" {text.translate(WIDE)}"}, text])
    assert (wide["label"], wide["scores"]) == ("bad", plain["scores"])


@pytest.fixture(scope="module")
def evaluated(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> TrainRun:
    """A run whose version lies ready in its folder."""
    config = harness.train_config("run-compared", base, dataset, train=QUICK)
    with environment(harness.environment()):
        run = make_run(config, tmp_path_factory.mktemp("compared"), Stop())
    assert isinstance(run, TrainRun)
    for stage in ("fetch", "load", "adapt", "train", "evaluate", "export"):
        importlib.import_module(f"modelyard_trainer.stages.{stage}").execute(run)
    run.progress.close()
    return run


def info_of(run: TrainRun) -> ModelInfo:
    assert run.publication is not None
    return ModelInfo.model_validate(run.publication.info)


def test_what_is_ready_answers_as_it_was_trained(evaluated: TrainRun) -> None:
    expected = evaluated.outputs[: served.COMPARED_ROWS]
    assert len(expected) > 50
    assert compare(evaluated, info_of(evaluated), expected) < 1e-4
    assert evaluated.figures["export_compared_rows"] == len(expected)


class Shifted(Predictor):
    def outputs(self, read: Sequence[Reading], wanted: Any = always) -> list[Any]:
        return [logits + 3.0 for logits in super().outputs(read, wanted)]


class Fragile(Predictor):
    def predict(self, instances: Sequence[Any], wanted: Any = None) -> list[Any]:
        if {"text": "</s>"} in instances:
            raise RuntimeError("all examples must have the same number of </s>")
        return super().predict(instances)


class Silent(Predictor):
    def predict(self, instances: Sequence[Any], wanted: Any = None) -> list[Any]:
        found = super().predict(instances)
        return [row if instances != [{"text": ""}] else {**row, "scores": {"good": np.nan}} for row in found]


UNPREPARED = {"codec": {"maxLength": 32, "prepare": []}}
SKEWS: list[tuple[type[Predictor], dict[str, Any], str]] = [
    (
        Predictor,
        {"codec": {"maxLength": 32, "prepare": []}},
        r"reads \d+ of \d+ test rows otherwise than training did, for example '\\u3000",
    ),
    (Predictor, {"codec": {"maxLength": 4, "prepare": [Clean().dump()]}}, r"reads \d+ of \d+ test rows otherwise"),
    (Shifted, {}, "outputs differ from torch's by 3 on"),
    (Predictor, {"labels": ["plain", "good", "bad"]}, "otherwise than the trained model, for example"),
    (Fragile, {}, "cannot answer '</s>', which a request may hold .all examples must have"),
    (Silent, {}, "cannot answer '', which a request may hold .its scores are no numbers"),
]


@pytest.mark.parametrize(("kind", "changes", "told"), SKEWS, ids=range(len(SKEWS)))
def test_a_planted_difference_is_found(
    evaluated: TrainRun, monkeypatch: pytest.MonkeyPatch, kind: type[Predictor], changes: dict[str, Any], told: str
) -> None:
    monkeypatch.setattr(served, "Predictor", kind)
    info = info_of(evaluated).model_copy(update=changes)
    with pytest.raises(TrainerError, match=told) as found:
        compare(evaluated, info, evaluated.outputs[: served.COMPARED_ROWS])
    assert found.value.code == ExitCode.EXPORT_DIFFERS


def test_a_run_whose_server_would_read_otherwise_publishes_nothing(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(folder: Path, info: ModelInfo) -> Loaded:
        return opened(folder, info.model_copy(update={"codec": {**info.codec, "prepare": []}}))

    monkeypatch.setattr(served, "opened", forgetful)
    config = harness.train_config("run-skewed", base, dataset, train=QUICK)
    code, outcome = harness.run(config)
    assert (code, outcome.reason, outcome.stage) == (ExitCode.EXPORT_DIFFERS, "ExportDiffers", "export"), outcome
    assert "test rows otherwise than training did" in outcome.message
    assert harness.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None


def test_a_merge_that_changes_the_answers_is_found() -> None:
    trained: np.ndarray = np.zeros((4, 3))
    codec = TextClassifier(TextReader(cast(Any, None), 0, 32, []), ["a", "b", "c"])
    assert check_merged(codec, list(trained), list(trained + 1e-3)) == pytest.approx(1e-3)
    for wrong in (trained + 2.0, trained + np.nan):
        with pytest.raises(TrainerError, match="merged model's outputs differ"):
            check_merged(codec, list(trained), list(wrong))


FORMS: list[tuple[str, Callable[[str], bool]]] = [
    ("nfkc", lambda text: "fine".translate(WIDE) in text),
    ("nfc", lambda text: "cafe\u0301" in text),
    ("none", lambda text: text == " café is fine\n"),
]


@pytest.mark.parametrize(("form", "seen"), FORMS, ids=[form for form, _ in FORMS])
def test_rows_are_sent_in_a_form_that_preparation_undoes(form: Any, seen: Callable[[str], bool]) -> None:
    steps = [Clean(normalize=form)]
    sent = TextReader(cast(Any, None), 0, 32, steps).as_sent("café is fine")
    assert seen(sent)
    assert prepared(sent, steps) == "café is fine"
    assert TextReader(cast(Any, None), 0, 32, []).as_sent("café is fine") == "café is fine"
