"""Texts in, classes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks import texts
from modelyard_trainer.tasks.protocols import Arrays, Instance, Reading
from modelyard_trainer.tasks.row_classifier import RowClassifier
from modelyard_trainer.tasks.texts import TextReader

KIND = TASKS["text-classification"]


class TextClassifier(RowClassifier):
    """Codec of a text classifier; an output is the logits of a row, of shape (classes,)."""

    key = texts.KEY
    one_size: int | None = None

    def __init__(self, reader: TextReader, labels: list[str]) -> None:
        super().__init__(labels, KIND.primary)
        self.reader = reader
        self.parse = texts.parse
        self.read, self.packed, self.unpacked = reader.read, reader.packed, reader.unpacked
        self.extremes, self.save = reader.extremes, reader.save

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """Token ids and mask."""
        return self.reader.batch(readings)

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
