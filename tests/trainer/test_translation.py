"""translation from rows to a served version: by the objects of its example from scratch, and from a base."""

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
from tests.trainer.translators import pairs, write

EXAMPLE = Path(__file__).parents[2] / "examples/04-translation"


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def titles(harness: TrainerHarness) -> dict[str, str]:
    """The example's Dataset with generated rows, in families of two."""
    dataset = DatasetSpec.model_validate(spec("dataset"))
    rows = [{"en": row["source"], "de": row["target"], "family": f"f{at // 2}"} for at, row in enumerate(pairs(600))]
    uri = harness.put("raw/titles.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    source = {"s3": {"uri": uri}, "columns": dataset.source.columns.dump()}
    steps = [step.dump() for step in dataset.prepare]
    config = harness.prepare_config("titles", source, task=dataset.task, steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert sum(info["rows"].values()) == 600
    assert info["classes"] == {}
    return {"prefix": config.prefix, "digest": info["digest"]}


def trained(harness: TrainerHarness, run: str, titles: dict[str, str], **changes: Any) -> TrainConfig:
    config = harness.train_config(run, changes.pop("base", None), titles, task="translation", **changes)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def test_the_example_runs(harness: TrainerHarness, titles: dict[str, str], tmp_path: Path) -> None:
    job = FineTuneJobSpec.model_validate(spec("finetunejob"))
    train = {"epochs": 20, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32"}
    config = trained(harness, "titles", titles, scratch=job.from_.start, train=train)
    report = harness.report(config)
    measured = report.metrics[0]
    assert job.evaluate.gate.require[0].metric == measured.primary == "chrf"
    assert set(report.baselines) == {"commonest_target", "copy_source"}

    assert measured.values["chrf"] > max(report.baselines.values()) + 30
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, tmp_path)
    (tmp_path / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    assert {path.name for path in tmp_path.glob("*.onnx")} == {"encoder.onnx", "decoder.onnx"}
    served = Predictor(load(tmp_path))
    served.check()
    rows = pairs(100)
    answers = served.predict([{"text": row["source"]} for row in rows])
    assert served.codec.measure(answers, rows).values["chrf"] > measured.values["chrf"] - 15


@pytest.mark.full
@pytest.mark.parametrize("method", [{"full": {}}, {"lora": {"rank": 4}}], ids=["full", "lora"])
def test_from_a_base(harness: TrainerHarness, titles: dict[str, str], tmp_path: Path, method: dict[str, Any]) -> None:
    base = harness.put_folder("base/tiny-bart/", write("bart", tmp_path))
    train = {"epochs": 1, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32"}
    config = trained(harness, f"bart-{next(iter(method))}", titles, base=base, method=method, train=train)
    report = harness.report(config)
    assert report.train["steps"] == 16
    assert report.train["merge_difference"] < 1e-3
    assert report.train["export_compared_rows"] > 50
