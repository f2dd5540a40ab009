"""text-generation from rows to a served version: by the objects of its example, with a tiny base."""

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
from modelyard_trainer.tasks.text_generation.codec import Generator
from tests.trainer.chats import CHATML, END, answer, conversations, write
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.test_going_on import pin

EXAMPLE = Path(__file__).parents[2] / "examples/11-chat"
TRAIN = {"epochs": 12, "learningRate": 3e-3, "batchSize": 16, "precision": "fp32"}


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def chats(harness: TrainerHarness) -> dict[str, str]:
    """The example's Dataset with generated rows, and some that are left out."""
    dataset = DatasetSpec.model_validate(spec("dataset"))
    rows = [{"messages": messages, "topic": f"t{at}"} for at, messages in enumerate(conversations(400))]
    bad = [{"messages": rows[0]["messages"][:1], "topic": "x"}, {"messages": [], "topic": "x"}]
    uri = harness.put("raw/chats.jsonl", "".join(json.dumps(row) + "\n" for row in rows + bad).encode())
    source = {"s3": {"uri": uri}, "columns": dataset.source.columns.dump()}
    config = harness.prepare_config("chats", source, task=dataset.task, steps=[step.dump() for step in dataset.prepare])
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert info["removed"] == {"conflicting": 0, "duplicate": 0, "empty": 1, "leaked": 0, "short": 0, "unanswered": 1}
    assert sum(info["rows"].values()) == 400
    return {"prefix": config.prefix, "digest": info["digest"]}


def trained(harness: TrainerHarness, run: str, chats: dict[str, str], base: Any, **changes: Any) -> TrainConfig:
    settings = {"task": "text-generation", "input": {"text": {"maxLength": 128}}, "train": TRAIN, **changes}
    config = harness.train_config(run, base, chats, **settings)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def served(harness: TrainerHarness, config: TrainConfig, folder: Path) -> Predictor:
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, folder)
    (folder / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    return Predictor(load(folder))


def test_the_example_runs(harness: TrainerHarness, chats: dict[str, str], tmp_path: Path) -> None:
    job = FineTuneJobSpec.model_validate(spec("finetunejob"))
    base = harness.put_folder("base/chatter/", write("llama", tmp_path / "base", file=True))
    config = trained(harness, "chats", chats, base, method={"full": {}})
    report = harness.report(config)
    measured = report.metrics[0]
    assert job.evaluate.gate.require[0].metric == measured.primary == "perplexity"

    assert measured.values["perplexity"] < report.baselines["unigram"] / 2 < report.baselines["untrained"]
    assert measured.values["token_accuracy"] > 0.5
    assert report.train["untrained"]["perplexity"] == report.baselines["untrained"]
    assert report.train["chat_template"] == "own"
    shown = report.train["shown"]
    assert [one["test_row"] for one in shown] == [0, 1, 2]
    assert all(one["before"] != one["after"] for one in shown)

    predictor = served(harness, config, tmp_path / "served")
    predictor.check()
    assert list(predictor.info.sample) == list(predictor.codec.keys)  # the operator sends a tensor per field
    rows = harness.rows(chats["prefix"], "test")
    judged = predictor.predict([{"messages": row["messages"]} for row in rows])
    again = predictor.codec.measure(judged, rows).values["perplexity"]
    assert again == pytest.approx(measured.values["perplexity"], rel=1e-3)
    asked = [row["messages"][:1] for row in rows]
    found = predictor.predict([{"messages": messages, "max_tokens": 16} for messages in asked])
    right = sum(one["text"] == answer(messages[0]["content"]) for one, messages in zip(found, asked, strict=True))
    assert right > len(rows) / 3
    told = json.loads((tmp_path / "served/tokenizer_config.json").read_text())
    assert told["chat_template"] == CHATML and told["eos_token"] == END


@pytest.mark.full
def test_it_goes_on_from_a_version(harness: TrainerHarness, chats: dict[str, str], tmp_path: Path) -> None:
    base = harness.put_folder("base/chatter-once/", write("llama", tmp_path / "base"))
    first = trained(harness, "chats-1", chats, base, method={"full": {}}, train={**TRAIN, "epochs": 4})
    again = {**TRAIN, "epochs": 1, "learningRate": 1e-4}
    second = trained(harness, "chats-2", chats, pin(harness, first), method={"lora": {}}, train=again)
    before, after = harness.report(first).metrics[0].values, harness.report(second)
    assert after.baselines["untrained"] == pytest.approx(before["perplexity"], rel=1e-3)
    assert after.metrics[0].values["perplexity"] < before["perplexity"] * 1.05
    codec = served(harness, second, tmp_path / "served").codec
    assert isinstance(codec, Generator) and codec.reader.chat.template == CHATML


@pytest.mark.full
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_lora(harness: TrainerHarness, chats: dict[str, str], tmp_path: Path, kind: str) -> None:
    base = harness.put_folder(f"base/chatter-{kind}/", write(kind, tmp_path))
    config = trained(harness, f"lora-{kind}", chats, base, method={"lora": {"rank": 16}})
    report = harness.report(config)
    assert report.metrics[0].values["perplexity"] < report.baselines["untrained"] / 2
    assert report.train["trainable_parameters"] < report.train["parameters"]
    assert report.train["merge_difference"] < 1e-3
