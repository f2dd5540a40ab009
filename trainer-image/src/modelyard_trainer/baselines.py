"""What a model must beat: the commonest class, and word counts with logistic regression, on the same rows."""

from __future__ import annotations

import itertools
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from modelyard_trainer.data.rows import Row, Sides
from modelyard_trainer.tasks import TaskModule

log = logging.getLogger(__name__)
MOST_ROWS = 50_000
"""Train rows that logistic regression sees; the first ones are a random sample, for rows lie in hash order."""
MOST_PIECES = 8_000_000
"""Words and groups of words of all train rows together; longer rows are cut, as the model cuts them too."""
MOST_FEATURES = 200_000
SOLVER_BYTES = 512 << 20
SOLVER_COPIES = 25
"""Arrays of (classes, features) that L-BFGS holds: ten pairs of earlier steps, and five to work with."""
CHUNK = 1000
"""Test rows that are looked at together."""
UNSPACED = (
    "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"
    "\u2e80-\u2fdf\u3001-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
"""Scripts that put no spaces between words: Han, kana, and those of south-east Asia."""
PIECE = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]{{1,64}}")
"""A word, or a single character of a script without spaces; groups of these are what counts there."""


def baselines(task: TaskModule, sides: Sides, labels: list[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Primary metric on the test rows per baseline, and why one is missing: a baseline's fault is never the run's."""
    train, test = sides["train"][:MOST_ROWS], sides["test"]
    known: dict[str, Callable[[list[Row], list[Row]], list[str]]] = {
        "majority": majority,
        "tfidf_logistic_regression": word_counts,
    }
    found, missing = {}, {}
    for name, guess in known.items():
        try:
            found[name] = _primary(task, guess(train, test), test, labels)
        except Exception as fault:
            missing[name] = f"{type(fault).__name__}: {fault}"[:300]
            log.warning("the baseline %s is missing: %s", name, missing[name])
    return found, missing


def majority(train: list[Row], test: list[Row]) -> list[str]:
    """The commonest class for every row."""
    (label, _), *_ = Counter(row.label for row in train).most_common(1)
    return [label] * len(test)


def word_counts(train: list[Row], test: list[Row]) -> list[str]:
    """TF-IDF of words and pairs of words, then logistic regression; memory is bounded however many rows or classes.

    Where words are not separated, groups of up to four characters stand for them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    group = 4 if _is_unspaced([row.text for row in train[:CHUNK]]) else 2
    vectors = TfidfVectorizer(
        ngram_range=(1, group),
        sublinear_tf=True,
        tokenizer=_Pieces(MOST_PIECES // (group * len(train))),
        token_pattern=None,
        max_features=most_features(len({row.label for row in train})),
    )
    model = make_pipeline(vectors, LogisticRegression(C=3.0, max_iter=200))
    model.fit([row.text for row in train], [row.label for row in train])
    parts = (test[at : at + CHUNK] for at in range(0, len(test), CHUNK))
    return [str(label) for part in parts for label in model.predict([row.text for row in part])]


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


def _primary(task: TaskModule, guesses: list[str], test: list[Row], labels: list[str]) -> float:
    number = {label: index for index, label in enumerate(labels)}
    logits: np.ndarray = np.eye(len(labels))[[number[guess] for guess in guesses]]
    measured = task.measure(logits, [number[row.label] for row in test], labels)
    return measured.values[measured.primary]
