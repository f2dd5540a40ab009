"""Tiny bases of many architectures, each from its folder through training to what the server answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, TrainConfig
from modelyard.storage.fetch import fetch_verified
from modelyard_server.load import load
from modelyard_server.predictor import Predictor
from modelyard_trainer.tasks.classes import softmax
from modelyard_trainer.tasks.texts import load_tokenizer
from modelyard_trainer.trial import EXPORTS
from tests.trainer.architectures import ARCHITECTURES, write
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.texts import token_ids
from tests.trainer.words import json_lines, rows

CHEAP = {"gpt2-lora", "bart-full", "llama-3-lora", "xlm-roberta-full", "deberta-v2-lora"}
CASES = [
    pytest.param(name, method, id=f"{name}-{method}", marks=[] if f"{name}-{method}" in CHEAP else [pytest.mark.full])
    for name in ARCHITECTURES
    for method in ("full", "lora")
]
DECODERS = ("gpt2", "llama", "llama-3", "mistral", "qwen2", "opt", "gpt_neox")
"""They read the last token of a row."""
TRAIN = {"epochs": 1, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32"}
TEXTS = [
    "great lovely day", "great lovely day !", "", "!", "a </s> b", "[SEP] [CLS] [PAD] <s> <pad> <|endoftext|>",
    "thing1 thing2 awful", "</s>", "the very dull place and the sad day " * 9, "<mask>[MASK]<unk>[UNK]", "日本 ПРИВЕТ",
]  # fmt: skip


@pytest.fixture(scope="module")
def few(harness: TrainerHarness) -> dict[str, str]:
    """Rows of which some spell special tokens: an encoder-decoder, too, must take them for text."""
    odd = [{**row, "text": f"{row['text']} </s> [SEP]"} for row in rows(30, seed=5)]
    uri = harness.put("raw/few.jsonl", json_lines([*rows(90), *odd]))
    config = harness.prepare_config("few", {"s3": {"uri": uri}})
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    manifest = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))
    return {"prefix": config.prefix, "digest": manifest["info"]["digest"]}


def trained(
    harness: TrainerHarness, name: str, method: dict[str, Any], data: dict[str, str], folder: Path
) -> TrainConfig:
    """A run of a tiny base that was published."""
    label = f"{name}-{'-'.join(method)}".replace("_", "-")
    pin = harness.put_folder(f"base/{label}/", write(ARCHITECTURES[name], folder))
    config = harness.train_config(f"arch-{label}", pin, data, method=method, train=TRAIN)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


@pytest.mark.parametrize(("name", "method"), CASES)
def test_trains_and_is_served(
    harness: TrainerHarness, few: dict[str, str], name: str, method: str, tmp_path: Path
) -> None:
    config = trained(harness, name, {method: {}}, few, tmp_path / "base")
    report = harness.report(config)
    assert report.train["loss"] is not None
    if method == "lora":
        assert 0 < report.train["trainable_parameters"] < report.train["parameters"]
    version = tmp_path / "version"
    manifest = fetch_verified(harness.store, BUCKET, layout.version_prefix(config.prefix), version)
    (version / layout.MANIFEST).write_bytes(manifest.to_bytes())
    served, alone = answers(version, TEXTS), [answers(version, [text]) for text in TEXTS]
    assert np.allclose(served, usual_answers(version), atol=1e-4)
    assert np.allclose(served, np.concatenate(alone), atol=1e-4)
    if name in DECODERS:
        assert np.abs(served[0] - served[1]).max() > 1e-5, "a ! at the end changes nothing"


def answers(folder: Path, texts: list[str]) -> np.ndarray:
    """Probabilities as a server loads and answers them."""
    found = Predictor(load(folder)).predict(texts)
    scores: np.ndarray = np.array([list(prediction["scores"].values()) for prediction in found])
    return scores


def usual_answers(folder: Path) -> np.ndarray:
    """Probabilities of the published torch model, each text alone and never padded."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder).eval(), load_tokenizer(folder, 32)
    found = []
    for ids in token_ids(tokenizer, TEXTS):
        row = torch.tensor([ids or [model.config.get_text_config().pad_token_id]])
        with torch.no_grad():
            found.append(model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0].numpy())
    return softmax(np.array(found))


OTHER_TASKS = {
    "test_translation.py": {"marian", "t5"},
    "test_image_classification.py": {"modelyard-cnn", "resnet", "vit"},
    "test_object_detection.py": {"modelyard-dense-detector"},
}
"""Types that the tests of other tasks take through training and serving."""


def test_every_type_that_is_not_tried_before_training_is_tried_by_a_test() -> None:
    here = {architecture.type for architecture in ARCHITECTURES.values()}
    assert here.union(*OTHER_TASKS.values()) >= EXPORTS
    assert all((Path(__file__).parent / name).is_file() for name in OTHER_TASKS)
