"""Texts in, labels out: each label on its own, from the score on that validation rows chose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks.classes import metrics_of, ratio, rounded
from modelyard_trainer.tasks.multi_label_classification import thresholds
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Reading, Tensor
from modelyard_trainer.tasks.row_classifier import RowClassifier
from modelyard_trainer.tasks.text_codec import TextCodec
from modelyard_trainer.tasks.texts import TextReader

KIND = TASKS["multi-label-classification"]


class Labeller(TextCodec, RowClassifier):
    """Codec of a model that labels texts; an output is the logits of a row, of shape (labels,)."""

    def __init__(self, reader: TextReader, labels: list[str], thresholds: Sequence[float] = ()) -> None:
        TextCodec.__init__(self, reader)
        RowClassifier.__init__(self, labels, KIND.primary)
        self.tensors = (Tensor("labels", "BYTES"), Tensor("scores", "FP32", (len(labels),)))
        self.thresholds = list(thresholds) or [0.0] * len(labels)
        """Logit from which on each label is answered."""
        self.judging: Sequence[Fields] = ()
        """Rows that the thresholds were found on."""

    def settle(self, outputs: Sequence[np.ndarray], rows: Sequence[Fields]) -> None:
        """Find the thresholds on validation rows."""
        self.judging = rows
        truth = np.array([self.truth(row) for row in rows])
        self.thresholds = thresholds.found(np.stack(outputs), truth)

    def truth(self, row: Fields) -> np.ndarray:
        """1 for each label that the row has; labels that no training row had are none of the model's."""
        found: np.ndarray = np.zeros(len(self.labels), dtype=np.float32)
        found[[self.number[label] for label in row["labels"] if label in self.number]] = 1
        return found

    def decode(self, output: np.ndarray, reading: Reading) -> Answer:
        """The labels whose score reaches their threshold, and the score of every label."""
        return self.decided(output)

    def decided(self, logits: np.ndarray) -> Answer:
        """The answer that logits stand for, (labels,)."""
        # in two halves, for the exponential of a large number has none
        small = np.exp(-np.abs(logits))
        scores = np.where(logits >= 0, 1 / (1 + small), small / (1 + small))
        named = logits >= np.asarray(self.thresholds)
        return {
            "labels": [label for label, is_named in zip(self.labels, named, strict=True) if is_named],
            "scores": dict(zip(self.labels, scores.tolist(), strict=True)),
        }

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """labels, as JSON per row, and scores."""
        scores = [[answer["scores"][label] for label in self.labels] for answer in answers]
        return {
            "labels": np.array([json.dumps(answer["labels"], ensure_ascii=False) for answer in answers], np.object_),
            "scores": np.array(scores, dtype=np.float32).reshape(len(answers), len(self.labels)),
        }

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """By label, and over all."""
        return measured(answers, rows)

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both name the same labels; one whose score is next to its threshold may fall either way."""
        border = np.asarray(self.thresholds)
        sure = np.abs(expected - border) > rounding
        return bool(((expected >= border) == (found >= border))[sure].all())

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer's files; how texts are read, and the thresholds."""
        return {**super().save(folder), "thresholds": self.thresholds}


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Labeller:
    """From a version's folder."""
    return Labeller(TextReader.load(folder, settings), labels, settings["thresholds"])


def measured(answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
    """F1 over all labels of all rows, its mean over the labels, and the share of rows with exactly their labels.

    A label that no row has and no answer names is left out of the mean.
    """
    hits, named, true = Counter[str](), Counter[str](), Counter[str]()
    exact = 0
    for answer, row in zip(answers, rows, strict=True):
        found, wanted = set(answer["labels"]), set(row["labels"])
        named.update(found)
        true.update(wanted)
        hits.update(found & wanted)
        exact += found == wanted
    labels = {label: metrics_of(hits[label], named[label], true[label]) for label in sorted(named | true)}
    return Metrics(
        set_=TEST,
        primary=KIND.primary,
        values={
            "micro_f1": metrics_of(hits.total(), named.total(), true.total())["f1"],
            "macro_f1": rounded(ratio(sum(one["f1"] for one in labels.values()), len(labels))),
            "subset_accuracy": rounded(ratio(exact, len(rows))),
        },
        per_class=labels,
    )
