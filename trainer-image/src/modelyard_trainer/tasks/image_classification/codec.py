"""Pictures in, classes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import Metrics
from modelyard_trainer.tasks import classes, images
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Reading

PRIMARY = "macro_f1"


class ImageClassifier:
    """Codec of a picture classifier; an output is the logits of a row, of shape (classes,)."""

    key = images.KEY

    def __init__(self, lens: images.Lens, labels: list[str]) -> None:
        self.lens = lens
        self.labels = labels
        self.augment = "none"
        """How training changes pictures; nothing that a version knows."""
        self.number = {label: index for index, label in enumerate(labels)}
        self.tensors = classes.tensors(labels)
        self.parse = images.parse
        self.odd = images.odd
        self.as_sent = images.as_sent

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Pixels per picture."""
        return images.readings(self.lens, values)

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """pixel_values of shape (rows, channels, height, width)."""
        return images.batch(self.lens, readings)

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits per row."""
        return list(found["logits"])

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits per row."""
        return self.outputs(graphs["model"](self.batch(readings)), readings)

    def decode(self, output: np.ndarray, reading: Reading) -> Answer:
        """The likeliest class, its score, and the score of every class."""
        return classes.answer_of(output, self.labels)

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """label, score and scores."""
        return classes.values(answers, self.labels)

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """By class, and over all."""
        return classes.measure(answers, rows, self.labels, PRIMARY)

    def difference(self, expected: np.ndarray, found: np.ndarray) -> float:
        """Largest difference of logits."""
        return float(np.abs(found - expected).max(initial=0.0))

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both name one class."""
        return classes.same_class(expected, found, rounding)

    def finite(self, answer: Answer) -> bool:
        """Whether all scores are numbers."""
        return all(math.isfinite(score) for score in answer["scores"].values())

    def sample(self, instance: Instance) -> Instance:
        """The picture as small as the model reads it."""
        return images.small(instance, self.lens)

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """All pictures are read in one size."""
        return [readings[0], readings[-1]]

    def save(self, folder: Path) -> dict[str, Any]:
        """How pictures are read."""
        return {"lens": self.lens.settings()}


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> ImageClassifier:
    """From a version's folder."""
    return ImageClassifier(images.Lens.of(settings["lens"]), labels)
