"""Texts in, classes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks import classes, texts
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Reading
from modelyard_trainer.tasks.texts import TextReader

KIND = TASKS["text-classification"]


class TextClassifier:
    """Codec of a text classifier; an output is the logits of a row, of shape (classes,)."""

    key = texts.KEY

    def __init__(self, reader: TextReader, labels: list[str]) -> None:
        self.reader = reader
        self.labels = labels
        self.number = {label: index for index, label in enumerate(labels)}
        self.tensors = classes.tensors(labels)
        self.parse = texts.parse
        self.read, self.batch, self.extremes, self.save = reader.read, reader.batch, reader.extremes, reader.save

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
        return classes.measure(answers, rows, self.labels, KIND.primary)

    def difference(self, expected: np.ndarray, found: np.ndarray) -> float:
        """Largest difference of logits."""
        return float(np.abs(found - expected).max(initial=0.0))

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both name one class."""
        return classes.same_class(expected, found, rounding)

    def finite(self, answer: Answer) -> bool:
        """Whether all scores are numbers."""
        return all(math.isfinite(score) for score in answer["scores"].values())

    def as_sent(self, instance: Instance) -> Instance:
        """The text as people send it."""
        return {**instance, self.key: self.reader.as_sent(instance[self.key])}

    def sample(self, instance: Instance) -> Instance:
        """The text, of bounded length."""
        return texts.short(instance)

    def odd(self) -> list[Instance]:
        """Texts that no row holds but some request will."""
        return [{self.key: text} for text in texts.ODD]


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> TextClassifier:
    """From a version's folder."""
    return TextClassifier(TextReader.load(folder, settings), labels)
