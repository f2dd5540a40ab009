"""Texts as token ids, and a torch model's logits for them, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.predict import outputs_of
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.protocols import Arrays
from modelyard_trainer.tasks.text_classification import learner
from modelyard_trainer.tasks.text_classification.codec import TextClassifier
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer, pad


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids per text, special tokens included, without padding."""
    tokenizer.no_padding()
    return [ids for ids, _ in TextReader(tokenizer, 0, 0, []).ids(texts)]


def encoded(tokenizer: Any, texts: Sequence[str], pad_id: int = 0) -> Arrays:
    """Padded model inputs."""
    return pad(token_ids(tokenizer, texts), pad_id)


def codec_of(folder: Path, labels: list[str], max_length: int = 32, pad_id: int = 0) -> TextClassifier:
    """A codec that prepares nothing, with a folder's tokenizer."""
    tokenizer = load_tokenizer(folder, max_length)
    tokenizer.no_padding()
    return TextClassifier(TextReader(tokenizer, pad_id, max_length, []), labels)


def torch_logits(model: Any, codec: TextClassifier, texts: Sequence[str]) -> np.ndarray:
    """fp32 logits (texts, classes)."""
    graphs = torch_graphs(learner.parts(model))
    found: np.ndarray = np.stack(outputs_of(codec, graphs, codec.read(texts)))
    return found


def load_model(folder: Path, labels: list[str], pad_id: int) -> tuple[Any, list[str]]:
    """A base's torch model with one output per class, and the names of weights that start untrained."""
    run = cast(TrainRun, SimpleNamespace(base=folder, parent=None))
    return learner.load_model(run, codec_of(folder, labels, pad_id=pad_id))
