"""What a model must beat, on the same rows; and for texts, word counts with logistic regression."""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.classes import certain
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.texts import UNSPACED

log = logging.getLogger(__name__)
MOST_ROWS = 50_000
"""Train rows that logistic regression sees; the first ones are a random sample, for rows lie in hash order."""
MOST_PIECES = 8_000_000
"""Words and groups of words of all train rows together; longer rows are cut, as the model cuts them too."""
MOST_FEATURES = 200_000
SOLVER_BYTES = 512 << 20
SOLVER_COPIES = 25
"""Arrays of (classes, features) that L-BFGS holds: ten pairs of earlier steps, and five to work with."""
STRENGTH, STEPS = 3.0, 200
"""Of logistic regression: inverse of the penalty (`C` of scikit-learn), and iterations at most."""
SURE = 20.0
"""Logit of what is always so."""
CHUNK = 1000
"""Test rows that are looked at together."""
PIECE = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]{{1,64}}")
"""A word, or a single character of a script without spaces; groups of these are what counts there."""


def baselines(run: TrainRun) -> tuple[dict[str, float], dict[str, str]]:
    """Primary metric on the test rows per baseline, and why one is missing: a baseline's fault is never the run's."""
    train, test = run.rows["train"][:MOST_ROWS], run.rows["test"]
    found, missing = {}, {}
    for name, guess in learner_of(run.config.task).baselines(run.codec).items():
        try:
            measured = run.codec.measure(guess(train, test), test)
            found[name] = measured.values[measured.primary]
        except Exception as fault:
            missing[name] = f"{type(fault).__name__}: {fault}"[:300]
            log.warning("the baseline %s is missing: %s", name, missing[name])
    return found, missing


def word_counts(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """TF-IDF of words, then logistic regression; memory is bounded however many rows or classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    vectors = _vectors(train, most_features(len({row["label"] for row in train})))
    model = make_pipeline(vectors, LogisticRegression(C=STRENGTH, max_iter=STEPS))
    model.fit([row["text"] for row in train], [row["label"] for row in train])
    parts = (test[at : at + CHUNK] for at in range(0, len(test), CHUNK))
    return [certain(str(label)) for part in parts for label in model.predict([row["text"] for row in part])]


def label_scores(train: Sequence[Fields], truth: np.ndarray, rows: Sequence[Fields]) -> np.ndarray:
    """Logits (rows, labels) of a logistic regression per label on the same counts; `truth` (train, labels) is 0 or 1.

    A label that all training rows have, or none, is as sure as it can be.
    """
    from sklearn.linear_model import LogisticRegression

    vectors = _vectors(train, most_features(1))
    known = vectors.fit_transform([row["text"] for row in train])
    asked = vectors.transform([row["text"] for row in rows])
    found: np.ndarray = np.where(truth.all(axis=0), SURE, -SURE) * np.ones((len(rows), 1))
    for label in np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0)):
        model = LogisticRegression(C=STRENGTH, max_iter=STEPS).fit(known, truth[:, label])
        found[:, label] = model.decision_function(asked)
    return found


def _vectors(train: Sequence[Fields], features: int) -> Any:
    """TF-IDF of words and pairs of words; where words are not separated, of groups of up to four characters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    group = 4 if _is_unspaced([row["text"] for row in train[:CHUNK]]) else 2
    return TfidfVectorizer(
        ngram_range=(1, group),
        sublinear_tf=True,
        tokenizer=_Pieces(MOST_PIECES // (group * len(train))),
        token_pattern=None,
        max_features=features,
    )


def most_features(classes: int) -> int:
    """Features that the solver has memory for; the commonest ones stay."""
    return min(MOST_FEATURES, SOLVER_BYTES // (SOLVER_COPIES * 8 * max(classes, 1)))


class _Pieces:
    """The first pieces of a text."""

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(self, text: str) -> list[str]:
        return [found.group() for found in itertools.islice(PIECE.finditer(text), self._most)]


def _is_unspaced(texts: list[str]) -> bool:
    """True if most characters are of a script without spaces."""
    pieces: Iterator[re.Match[str]] = itertools.chain.from_iterable(map(PIECE.finditer, texts))
    counts: Counter[bool] = Counter()
    for piece in pieces:
        counts[bool(re.match(f"[{UNSPACED}]", piece.group()))] += len(piece.group())
    return counts[True] > counts[False]
