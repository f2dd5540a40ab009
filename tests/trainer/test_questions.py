"""question-answering from rows to a served version, by the objects of its example."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.run import ExitCode, TrainConfig
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.questions import question_row, question_rows, write_pair_tokenizer
from tests.trainer.words import json_lines

TRAIN = {"epochs": 14, "learningRate": 5e-3, "batchSize": 16, "precision": "fp32"}
EXAMPLE = Path(__file__).parents[2] / "examples/08-questions"


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def pairs(harness: TrainerHarness, base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tiny base with a tokenizer that sets two texts apart."""
    folder = tmp_path_factory.mktemp("pairs")
    shutil.copytree(base_folder, folder, dirs_exist_ok=True)
    write_pair_tokenizer(folder)
    return harness.put_folder("base/pairs/", folder)


@pytest.fixture(scope="module")
def questions(harness: TrainerHarness) -> dict[str, str]:
    """The example's Dataset with generated rows, some of them longer than the model reads at once."""
    rows = [*question_rows(500), *question_rows(60, seed=1, words=(30, 90))]
    uri = harness.put("raw/questions.jsonl", json_lines([{**row, "group": str(at)} for at, row in enumerate(rows)]))
    dataset = DatasetSpec.model_validate(spec("dataset"))
    steps = [step.dump() for step in dataset.prepare]
    config = harness.prepare_config("questions", {"s3": {"uri": uri}}, task=dataset.task, steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert sum(info["rows"].values()) == 560
    return {"prefix": config.prefix, "digest": info["digest"]}


def trained(harness: TrainerHarness, base: dict[str, str], data: dict[str, str], **changes: Any) -> TrainConfig:
    """The example's job on a tiny base."""
    job = FineTuneJobSpec.model_validate(spec("finetunejob"))
    name = f"ask-{next(iter(changes['method']))}"
    config = harness.train_config(name, base, data, task=job.task, **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def test_the_example_runs(
    harness: TrainerHarness, pairs: dict[str, str], questions: dict[str, str], tmp_path: Path
) -> None:
    config = trained(harness, pairs, questions, method={"full": {}}, train=TRAIN)
    measured, baselines = harness.report(config).metrics[0], harness.report(config).baselines
    [required] = FineTuneJobSpec.model_validate(spec("finetunejob")).evaluate.gate.require
    assert set(baselines) == {"first_sentence", "likest_sentence"}
    assert measured.values[required.metric] >= (required.min or 0) > max(baselines.values())
    assert measured.values["unanswerable_accuracy"] > 0.5 < measured.values["answerable_f1"]
    served = published(harness, config, tmp_path)
    assert [found.difference is None for found in served.info.artifacts] == [True, False]
    served.check()
    check_answers(served)


def check_answers(served: Predictor) -> None:
    """Long contexts are read to their end, and each answer is what stands at its place."""
    chance = random.Random(9)
    rows = [question_row(chance, words, at) for words in (10, 60, 400) for at in (0.0, 0.5, 1.0) for _ in range(8)]
    found = served.predict([{"question": row["question"], "context": row["context"]} for row in rows])
    for row, one in zip(rows, found, strict=True):
        assert row["context"][one["start"] : one["end"]] == one["answer"]
    right = [one["answer"] == row["answers"]["text"][0] for row, one in zip(rows, found, strict=True)]
    assert [sum(right[at : at + 8]) for at in range(0, len(right), 8)] >= [6] * 9, right


def published(harness: TrainerHarness, config: TrainConfig, folder: Path) -> Predictor:
    """The version as a server loads it."""
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, folder)
    (folder / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    return Predictor(load(folder))


def test_adapters_learn_too(harness: TrainerHarness, pairs: dict[str, str], questions: dict[str, str]) -> None:
    config = trained(harness, pairs, questions, method={"lora": {"rank": 8}}, train=TRAIN, export=["safetensors"])
    report = harness.report(config)
    assert report.metrics[0].values["f1"] > max(report.baselines.values()) + 0.1


def test_the_deployment_follows_the_job() -> None:
    assert spec("modeldeployment")["model"]["name"] == "questions"
