"""Functions that learners have in common: a learner of a task imports those that fit it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelyard_trainer.tasks.protocols import Codec, Fields, Reading
from modelyard_trainer.tasks.row_classifier import RowClassifier

IGNORED = -100
"""What the library's loss passes over."""


def all_as_likely(codec: Codec) -> float:
    """The mean loss of one that holds all classes for as likely."""
    return math.log(len(codec.labels))


def class_number(codec: RowClassifier, row: Fields, reading: Reading) -> int:
    """The number of the row's class."""
    return codec.number[row["label"]]


def with_class_numbers(codec: Codec, readings: Sequence[Reading], targets: Sequence[Any]) -> dict[str, Any]:
    """Model inputs, and a class number, or a number per class, of each row."""
    import torch

    inputs = {name: torch.from_numpy(value) for name, value in codec.batch(readings).items()}
    return {**inputs, "labels": torch.from_numpy(np.asarray(targets))}


def with_sequences(
    codec: Codec, readings: Sequence[Reading], targets: Sequence[np.ndarray], width: int
) -> dict[str, Any]:
    """Model inputs, and a number per token; what rows lack of `width` tokens does not count."""
    import torch

    labels: np.ndarray = np.full((len(targets), width), IGNORED, dtype=np.int64)
    for row, numbers in zip(labels, targets, strict=True):
        row[: len(numbers)] = numbers
    return {name: torch.from_numpy(value) for name, value in {**codec.batch(readings), "labels": labels}.items()}


def rows_in(inputs: Mapping[str, Any]) -> int:
    """For a loss that is a mean over rows."""
    return len(inputs["labels"])


def numbers_that_count(inputs: Mapping[str, Any]) -> int:
    """For a loss that is a mean over tokens."""
    return int((inputs["labels"] != IGNORED).sum())


def unchanged(codec: Codec, reading: Reading, target: Any, draw: np.random.Generator) -> tuple[Reading, Any]:
    """A row as it is, in each epoch."""
    return reading, target


def judged_by_logits(
    model: Any, inputs: Mapping[str, Any], codec: Codec, readings: Sequence[Reading]
) -> tuple[float, list[np.ndarray]]:
    """Mean loss, and what one pass gave."""
    found = model(**inputs)
    return float(found.loss), codec.outputs({"logits": found.logits.float().cpu().numpy()}, readings)
