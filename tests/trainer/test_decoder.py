"""text-classification with a decoder: the example's objects on a tiny model of the same kind."""

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
from tests.trainer.architectures import LLAMA, Architecture, byte_level, edit, write
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.words import rows

EXAMPLE = Path(__file__).parents[2] / "examples/12-sentiment-with-a-decoder"
ENDS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TINY = Architecture("llama", byte_level(ENDS), {**LLAMA, "tie_word_embeddings": True})


def spec(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text())["spec"]
    return found


@pytest.fixture(scope="module")
def decoder(harness: TrainerHarness, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As SmolLM2 is written: the end of a turn ends a row, and fills short ones."""
    folder = write(TINY, tmp_path_factory.mktemp("decoder"))
    from tokenizers import Tokenizer

    end = Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id("<|im_end|>")
    edit(folder, eos_token_id=end, pad_token_id=end, bos_token_id=end - 1)
    return harness.put_folder("base/tiny-decoder/", folder)


def test_the_example_runs(harness: TrainerHarness, decoder: dict[str, str], tmp_path: Path) -> None:
    dataset, job = DatasetSpec.model_validate(spec("dataset")), FineTuneJobSpec.model_validate(spec("finetunejob"))
    found = [{"text": row["text"], "sentiment": row["label"]} for row in rows(400)]
    uri = harness.put("raw/decoder.jsonl", "".join(json.dumps(row) + "\n" for row in found).encode())
    source = {"s3": {"uri": uri}, "columns": dataset.source.columns.dump()}
    steps = [step.dump() for step in dataset.prepare]
    prepared = harness.prepare_config("decoder", source, task=dataset.task, steps=steps)
    code, outcome = harness.run(prepared)
    assert code == ExitCode.PUBLISHED, outcome
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(prepared.prefix)))["info"]
    assert info["rows"]["test"] > 100
    data = {"prefix": prepared.prefix, "digest": info["digest"]}
    assert job.method is not None and job.method.lora is not None
    train = {**job.train.dump(), "epochs": 6, "learningRate": 1e-2, "batchSize": 16, "precision": "fp32"}
    config = harness.train_config("decoder", decoder, data, task=job.task, method={"lora": {}}, train=train)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    report = harness.report(config)
    assert report.metrics[0].values["macro_f1"] > report.baselines["majority"] + 0.2
    assert report.train["trainable_parameters"] < report.train["parameters"]
    prefix = layout.version_prefix(config.prefix)
    fetch_verified(harness.store, BUCKET, prefix, tmp_path)
    (tmp_path / "manifest.json").write_bytes(harness.store.get(BUCKET, layout.manifest_key(prefix)))
    served = Predictor(load(tmp_path))
    served.check()
    texts = ["great lovely day", "great lovely day <|im_end|>", "", "awful " * 60]
    together, alone = served.predict(texts), [served.predict([text])[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert np.allclose(list(one["scores"].values()), list(other["scores"].values()), atol=1e-4)
    assert together[0] != together[1]  # what a text spells is text, though the token of that name fills rows
