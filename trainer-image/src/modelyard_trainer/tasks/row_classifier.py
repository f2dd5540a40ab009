"""What all codecs have in common that give a row one class: its model answers logits of shape (rows, classes)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from modelyard.api.modelversion import Metrics
from modelyard_trainer.tasks import classes
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Reading


class RowClassifier:
    """From logits to classes and their metrics; an output is the logits of a row, of shape (classes,)."""

    def __init__(self, labels: list[str], primary: str) -> None:
        self.labels = labels
        self.number = {label: index for index, label in enumerate(labels)}
        self.tensors = classes.tensors(labels)
        self._primary = primary

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """Model inputs of several rows, padded."""
        raise NotImplementedError

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits per row; ValueError if the model gives others than it was made for."""
        logits = found["logits"]
        if logits.shape != (len(readings), len(self.labels)):
            raise ValueError(f"{logits.shape} logits for {len(readings)} rows of {len(self.labels)} classes")
        return list(logits)

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
        return classes.measure(answers, rows, self.labels, self._primary)

    def difference(self, expected: np.ndarray, found: np.ndarray) -> float:
        """Largest difference of logits."""
        return classes.largest_difference(expected, found)

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both name one class."""
        return classes.same_class(expected, found, rounding)

    def finite(self, answer: Answer) -> bool:
        """Whether all scores are numbers."""
        return all(math.isfinite(score) for score in answer["scores"].values())
