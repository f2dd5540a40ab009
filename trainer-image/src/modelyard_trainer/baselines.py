"""What a model must beat: the commonest class, and word counts with logistic regression, on the same rows."""

from __future__ import annotations

from collections import Counter

import numpy as np

from modelyard_trainer.data.rows import Row, Sides
from modelyard_trainer.tasks import TaskModule

MOST_ROWS = 50_000
"""Train rows that logistic regression sees; the first ones are a random sample, for rows lie in hash order."""


def baselines(task: TaskModule, sides: Sides, labels: list[str]) -> dict[str, float]:
    """Macro F1 on the test rows per baseline."""
    train, test = sides["train"][:MOST_ROWS], sides["test"]
    guesses = {"majority": majority(train, test), "tfidf_logistic_regression": word_counts(train, test)}
    return {name: _macro_f1(task, guess, test, labels) for name, guess in guesses.items()}


def majority(train: list[Row], test: list[Row]) -> list[str]:
    """The commonest class for every row."""
    (label, _), *_ = Counter(row.label for row in train).most_common(1)
    return [label] * len(test)


def word_counts(train: list[Row], test: list[Row]) -> list[str]:
    """TF-IDF of words and pairs of words, then logistic regression; texts without words count as unknown."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\S+", max_features=200_000)
    model = make_pipeline(vectors, LogisticRegression(C=3.0, max_iter=200))
    model.fit([row.text for row in train], [row.label for row in train])
    return [str(label) for label in model.predict([row.text for row in test])]


def _macro_f1(task: TaskModule, guesses: list[str], test: list[Row], labels: list[str]) -> float:
    number = {label: index for index, label in enumerate(labels)}
    logits: np.ndarray = np.eye(len(labels))[[number[guess] for guess in guesses]]
    return task.measure(logits, [number[row.label] for row in test], labels).macro_f1
