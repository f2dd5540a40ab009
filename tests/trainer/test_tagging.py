"""token-classification from rows to a served version, by the objects of its example."""

from __future__ import annotations

import json
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
from tests.trainer.tagged import json_lines_of, tagged_rows

TRAIN = {"epochs": 25, "learningRate": 1e-2, "batchSize": 16, "precision": "fp32"}
EXAMPLE = Path(__file__).parents[2] / "examples/03-entities"


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def entities(harness: TrainerHarness) -> dict[str, str]:
    """The example's Dataset with generated rows."""
    dataset = DatasetSpec.model_validate(spec("dataset"))
    uri = harness.put("raw/entities.jsonl", json_lines_of(tagged_rows(700)))
    config = harness.prepare_config("entities", {"s3": {"uri": uri}}, task=dataset.task)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert set(info["classes"]) == {"LOC", "PER"}
    assert sum(info["rows"].values()) == 700
    return {"prefix": config.prefix, "digest": info["digest"]}


def trained(harness: TrainerHarness, base: dict[str, str], entities: dict[str, str], **changes: Any) -> TrainConfig:
    """The example's job on a tiny base."""
    job = FineTuneJobSpec.model_validate(spec("finetunejob"))
    name = f"tag-{next(iter(changes['method']))}"
    config = harness.train_config(name, base, entities, task=job.task, **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def test_the_example_runs(
    harness: TrainerHarness, base: dict[str, str], entities: dict[str, str], tmp_path: Path
) -> None:
    config = trained(harness, base, entities, method={"full": {}}, train=TRAIN)
    measured, baselines = harness.report(config).metrics[0], harness.report(config).baselines
    [required] = FineTuneJobSpec.model_validate(spec("finetunejob")).evaluate.gate.require
    assert measured.values[required.metric] >= (required.min or 0) > baselines["commonest_tag_of_word"]
    assert set(measured.per_class) == {"LOC", "PER"}
    served = published(harness, config, tmp_path)
    assert [found.difference is None for found in served.info.artifacts] == [True, False]
    served.check()
    text = "the was great. thing1 very lovely superb"
    found = served.predict([{"text": text}, {"text": text.replace(".", " .").split()}])
    assert [one["label"] for one in found[0]["entities"]] == [one["label"] for one in found[1]["entities"]]
    assert all(text[one["start"] : one["end"]] == one["text"] for one in found[0]["entities"])


def published(harness: TrainerHarness, config: TrainConfig, folder: Path) -> Predictor:
    """The version as a server loads it."""
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, folder)
    (folder / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    return Predictor(load(folder))


def test_adapters_learn_too(harness: TrainerHarness, base: dict[str, str], entities: dict[str, str]) -> None:
    method, train = {"lora": {"rank": 8}}, {**TRAIN, "epochs": 8}
    config = trained(harness, base, entities, method=method, train=train, export=["safetensors"])
    report = harness.report(config)
    assert report.metrics[0].values["micro_f1"] > report.baselines["commonest_tag_of_word"] + 0.1


def test_the_deployment_follows_the_job() -> None:
    assert spec("modeldeployment")["model"]["name"] == "entities"
