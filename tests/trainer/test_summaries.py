"""summarization from rows to a served version, by the objects of its example."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.run import ExitCode
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.translators import pairs

EXAMPLE = Path(__file__).parents[2] / "examples/10-summaries"


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


def summarized(count: int) -> list[dict[str, str]]:
    """A text of words each spelt backwards, and its first two words as they should be."""
    found = {row["target"]: " ".join(row["source"].split()[:2]) for row in pairs(count)}
    return [{"text": text, "summary": summary} for text, summary in found.items()]


def test_the_example_runs(harness: TrainerHarness, tmp_path: Path) -> None:
    dataset, job = DatasetSpec.model_validate(spec("dataset")), FineTuneJobSpec.model_validate(spec("finetunejob"))
    rows = [{**row, "family": f"f{at // 2}"} for at, row in enumerate(summarized(400))]
    uri = harness.put("raw/summaries.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    steps = [step.dump() for step in dataset.prepare]
    prepared = harness.prepare_config("summaries", {"s3": {"uri": uri}}, task=dataset.task, steps=steps)
    code, outcome = harness.run(prepared)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(prepared.prefix)))["info"]
    assert sum(info["rows"].values()) == 400
    data = {"prefix": prepared.prefix, "digest": info["digest"]}
    train = {"epochs": 16, "learningRate": 1e-3, "batchSize": 16, "precision": "fp32"}
    config = harness.train_config("summaries", None, data, task=job.task, scratch=job.from_.start, train=train)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    report = harness.report(config)
    measured = report.metrics[0]
    assert job.evaluate.gate.require[0].metric == measured.primary == "rougeL"
    assert set(report.baselines) == {"first_words", "commonest_summary"}
    assert measured.values["rougeL"] > max(report.baselines.values()) + 0.3
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, tmp_path)
    (tmp_path / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    served = Predictor(load(tmp_path))
    served.check()
    test = harness.rows(prepared.prefix, "test")
    answers = served.predict([{"text": row["text"]} for row in test])
    assert served.codec.measure(answers, test).values == measured.values


def test_the_deployment_follows_the_job() -> None:
    assert spec("modeldeployment")["model"]["name"] == "summaries"
