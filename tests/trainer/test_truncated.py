"""Rows that are longer than the model reads: counted per split, and said where they are more than a few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import Tokenizer

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, TrainConfig
from modelyard_trainer.tasks.texts import TextReader
from tests.trainer.harness import BUCKET, TrainerHarness


def words_of(harness: TrainerHarness, dataset: dict[str, str]) -> Iterator[tuple[str, list[int]]]:
    """Split, and words per row."""
    for split in ("train", "validation", "test"):
        yield split, [len(row["text"].split()) for row in harness.rows(dataset["prefix"], split)]


def warnings_of(harness: TrainerHarness, config: TrainConfig) -> dict[str, str]:
    key = layout.manifest_key(layout.version_prefix(config.prefix))
    info = ModelInfo.model_validate(Manifest.model_validate_json(harness.store.get(BUCKET, key)).info)
    return {warning.reason: warning.message for warning in info.warnings}


@pytest.mark.parametrize(("length", "warned"), [(12, True), (18, False)])
def test_rows_that_are_cut(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], length: int, warned: bool
) -> None:
    """A word is a token here, and two special ones stand around them; a row that just fits is none that was cut."""
    settings = {"epochs": 1, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32"}
    read = {"text": {"maxLength": length}}
    config = harness.train_config(f"cut-{length}", base, dataset, train=settings, input=read, export=["safetensors"])
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    wanted = {}
    for split, counts in words_of(harness, dataset):
        cut = sum(count + 2 > length for count in counts)
        wanted[split] = {"rows": cut, "share": round(cut / len(counts), 6)}
    assert harness.report(config).train["truncated"] == wanted
    assert (wanted["train"]["rows"] > 0) == warned
    found = warnings_of(harness, config)
    assert (names.ROWS_TRUNCATED in found) == warned
    if warned:
        message = found[names.ROWS_TRUNCATED]
        assert f"first {length} tokens" in message
        assert f"{wanted['test']['rows']} test rows" in message
        assert "spec.input.text.maxLength, the base takes up to" in message


def test_a_tokenizer_without_a_limit_cuts_nothing(base_folder: Any) -> None:
    tokenizer = Tokenizer.from_file(str(base_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    ((ids, cut),) = TextReader(tokenizer, 0, 0, []).ids(["thing1 " * 500])
    assert not cut
    assert len(ids) >= 500
