"""Texts in, classes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks.row_classifier import RowClassifier
from modelyard_trainer.tasks.text_codec import TextCodec
from modelyard_trainer.tasks.texts import TextReader

KIND = TASKS["text-classification"]


class TextClassifier(TextCodec, RowClassifier):
    """Codec of a text classifier; an output is the logits of a row, of shape (classes,)."""

    def __init__(self, reader: TextReader, labels: list[str]) -> None:
        TextCodec.__init__(self, reader)
        RowClassifier.__init__(self, labels, KIND.primary)


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> TextClassifier:
    """From a version's folder."""
    return TextClassifier(TextReader.load(folder, settings), labels)
