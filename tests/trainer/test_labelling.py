"""multi-label-classification from rows to a served version, by the objects of its example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.run import ExitCode
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.labelled import labelled_rows

TRAIN = {"epochs": 4, "learningRate": 3e-3, "batchSize": 16, "precision": "fp32"}
EXAMPLE = Path(__file__).parents[2] / "examples/09-tags"
SURE = 10


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def tags(harness: TrainerHarness) -> dict[str, str]:
    """The example's Dataset with generated rows, in families of two; of one label only rows that judge are left."""
    dataset = DatasetSpec.model_validate(spec("dataset"))
    rows = [{**row, "family": f"f{at // 2}"} for at, row in enumerate(labelled_rows(500))]
    uri = harness.put("raw/tags.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    steps = [step.dump() for step in dataset.prepare]
    config = harness.prepare_config("tags", {"s3": {"uri": uri}}, task=dataset.task, steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert set(info["classes"]) == {"bad", "good", "plain"}
    assert sum(info["rows"].values()) == 500
    assert info["removed"]["empty"] == 0
    found = {split: harness.rows(config.prefix, split) for split in info["rows"]}
    assert sum(not row["labels"] for rows in found.values() for row in rows) > 50
    texts = {split: {row["text"] for row in rows} for split, rows in found.items()}
    family = {row["text"]: row["family"] for row in rows}
    families = [{family[text] for text in one} for one in texts.values()]
    assert sum(map(len, families)) == len(set().union(*families))
    return {"prefix": config.prefix, "digest": info["digest"]}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_example_runs(
    harness: TrainerHarness, base: dict[str, str], tags: dict[str, str], tmp_path: Path, method: str
) -> None:
    job = FineTuneJobSpec.model_validate(spec("finetunejob"))
    export = ["safetensors", "onnx"] if method == "full" else ["safetensors"]
    changes: dict[str, Any] = {"task": job.task, "method": {method: {}}, "train": TRAIN, "export": export}
    config = harness.train_config(f"label-{method}", base, tags, **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    report = harness.report(config)
    measured = report.metrics[0]
    assert set(report.baselines) == {"commonest_labels", "tfidf_logistic_regression"}
    assert all(measured.values[one.metric] >= (one.min or 0) for one in job.evaluate.gate.require)
    assert measured.values["micro_f1"] > report.baselines["commonest_labels"] + 0.15
    assert report.train["linear_probe"]["rows"] > 300
    if method == "lora":
        return
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, tmp_path)
    (tmp_path / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    served = Predictor(load(tmp_path))
    served.check()
    borders = served.info.codec["thresholds"]
    assert len(borders) == 3 and len(set(borders)) > 1
    test = harness.rows(tags["prefix"], "test")
    answers = served.predict([{"text": row["text"]} for row in test])
    assert served.codec.measure(answers, test).values == measured.values
    for answer in answers[:SURE]:
        chances = 1 / (1 + np.exp(-np.array(borders)))
        named = [
            label
            for label, border in zip(served.info.labels, chances, strict=True)
            if answer["scores"][label] >= border
        ]
        assert answer["labels"] == named


def test_a_label_that_only_rows_that_judge_have_is_told_and_counts(
    harness: TrainerHarness, base: dict[str, str]
) -> None:
    """Its only text is in two families, and stays where it judges."""
    rows = [{**row, "family": f"f{at}"} for at, row in enumerate(labelled_rows(200, seed=2))]
    for at, row in enumerate(rows[:40]):
        row["labels"] = [*row["labels"], f"odd{at}"]
    twins = [{**row, "family": f"twin{at}"} for at, row in enumerate(rows[:40])]
    uri = harness.put("raw/odd.jsonl", "".join(json.dumps(row) + "\n" for row in rows + twins).encode())
    steps = [{"clean": {}}, {"split": {"test": 0.3, "validation": 0.2, "groupBy": "family"}}]
    config = harness.prepare_config("odd", {"s3": {"uri": uri}}, task="multi-label-classification", steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    unseen = [label for label, found in info["classes"].items() if not found["train"]]
    tested = [label for label in unseen if info["classes"][label]["test"]]
    assert tested
    assert any("none of them to learn from: never answered, it counts as missed" in note for note in info["notes"])
    data = {"prefix": config.prefix, "digest": info["digest"]}
    run = harness.train_config(
        "label-odd", base, data, task="multi-label-classification", train={**TRAIN, "epochs": 1}, export=["safetensors"]
    )
    code, outcome = harness.run(run)
    assert code == ExitCode.PUBLISHED, outcome.message
    assert harness.report(run).metrics[0].per_class[tested[0]]["recall"] == 0.0


def test_the_deployment_follows_the_job() -> None:
    assert spec("modeldeployment")["model"]["name"] == "tags"
