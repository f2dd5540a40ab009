"""One class for a row: from logits to answers, from answers to metrics. Shared by the tasks that classify rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Tensor

LABEL = "label"


def tensors(labels: Sequence[str]) -> tuple[Tensor, ...]:
    """Label and score of the likeliest class, and the score of every class in the model's order."""
    return (Tensor(LABEL, "BYTES"), Tensor("score", "FP32"), Tensor("scores", "FP32", (len(labels),)))


def answer_of(logits: np.ndarray, labels: Sequence[str]) -> Answer:
    """The likeliest class, its probability, and the probability of every class; logits of shape (classes,)."""
    shares = softmax(logits)
    best = int(shares.argmax())
    return {
        LABEL: labels[best],
        "score": float(shares[best]),
        "scores": dict(zip(labels, shares.tolist(), strict=True)),
    }


def values(answers: Sequence[Answer], labels: Sequence[str]) -> Arrays:
    """Answers as V2 tensors."""
    scores = [[answer["scores"][label] for label in labels] for answer in answers]
    return {
        LABEL: np.array([answer[LABEL] for answer in answers], dtype=np.object_),
        "score": np.array([answer["score"] for answer in answers], dtype=np.float32),
        "scores": np.array(scores, dtype=np.float32).reshape(len(answers), len(labels)),
    }


def certain(label: str) -> Answer:
    """The answer of somebody who knows only the class."""
    return {LABEL: label, "score": 1.0, "scores": {label: 1.0}}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def same_class(expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
    """Whether both logits name one class; two likeliest classes closer than `rounding` may be answered either way."""
    first, second = np.sort(expected)[::-1][:2]
    return bool(first - second <= rounding or expected.argmax() == found.argmax())


def labels_of(rows: Sequence[Fields]) -> list[str]:
    """The classes of training rows in the order of the model's outputs; none where rows have no class of their own."""
    return sorted({row[LABEL] for row in rows if LABEL in row})


def measure(answers: Sequence[Answer], rows: Sequence[Fields], labels: Sequence[str], primary: str) -> Metrics:
    """Macro F1 and accuracy of answers, and precision, recall and F1 per class; precision is 0 where none is named.

    A class that no row has and no answer names is left out, as scikit-learn does.
    """
    number = {label: index for index, label in enumerate(labels)}
    truth = np.array([number[row[LABEL]] for row in rows], dtype=np.int64)
    named = np.array([number[answer[LABEL]] for answer in answers], dtype=np.int64)
    table: np.ndarray = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(table, (truth, named), 1)
    seen = (table.sum(axis=0) + table.sum(axis=1)) > 0
    classes = {label: _class_metrics(table, index) for index, label in enumerate(labels) if seen[index]}
    found = {
        "macro_f1": rounded(sum(one["f1"] for one in classes.values()) / max(len(classes), 1)),
        "accuracy": rounded(ratio(int(np.trace(table)), int(table.sum()))),
    }
    return Metrics(set_=TEST, primary=primary, values=found, per_class=classes)


def majority(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """The commonest class for every row."""
    (label, _), *_ = Counter(row[LABEL] for row in train).most_common(1)
    return [certain(label)] * len(test)


def ratio(part: float, whole: float) -> float:
    """A share; 0 of nothing."""
    return part / whole if whole else 0.0


def rounded(value: float) -> float:
    """Six digits, for reports that people read."""
    return round(value, 6) if math.isfinite(value) else value


def largest_difference(expected: np.ndarray, found: np.ndarray) -> float:
    """Of two outputs; 0 of nothing."""
    return float(np.abs(found - expected).max(initial=0.0))


def _class_metrics(table: np.ndarray, index: int) -> dict[str, float]:
    return metrics_of(int(table[index, index]), int(table[:, index].sum()), int(table[index].sum()))


def metrics_of(hits: int, predicted: int, support: int) -> dict[str, float]:
    """Precision, recall and F1 of one class, by how many were right, named and there."""
    return {
        "precision": rounded(ratio(hits, predicted)),
        "recall": rounded(ratio(hits, support)),
        "f1": rounded(ratio(2 * hits, predicted + support)),
        "support": support,
    }
