"""From which score on a label is answered: found per label on validation rows, where its F1 is best.

Scores are logits: probabilities near 0 and 1 would lie too close together. The rule is SCut of Yang, "A Study on
Thresholding Strategies for Text Categorization", SIGIR 2001; rare labels, which it fits by chance, share one threshold.
"""

from __future__ import annotations

import numpy as np

HALF = 0.0
"""The logit of a probability of one half."""
FEW = 10
"""Rows that a label must have, and lack, to get a threshold of its own."""
DIGITS = 6


def found(scores: np.ndarray, truth: np.ndarray) -> list[float]:
    """A threshold per label; scores and truth (0 or 1) of shape (rows, labels).

    A label with fewer than FEW rows, or all but so few, gets the threshold that is best for all decisions together;
    where even these are too few, one half.
    """
    common = _best(scores.ravel(), truth.ravel())
    own = [_best(scores[:, label], truth[:, label]) for label in range(scores.shape[1])]
    shared = HALF if common is None else common
    return [round(shared if one is None else one, DIGITS) for one in own]


def _best(scores: np.ndarray, truth: np.ndarray) -> float | None:
    """The threshold of the best F1, half-way between two scores; None for too few rows, or scores that are none."""
    there = int(truth.sum())
    if there < FEW or len(truth) - there < FEW or not np.isfinite(scores).all():
        return None
    order = np.argsort(-scores, kind="stable")
    ordered, hits = scores[order].astype(np.float64), np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(ordered) + 1) + there)
    below: np.ndarray = np.append(ordered[1:], ordered[-1] - 1.0)
    f1[ordered == below] = -1.0  # equal scores fall on one side
    middles = (ordered + below) / 2
    best = np.flatnonzero(f1 == f1.max())
    return float(middles[best[np.abs(middles[best]).argmin()]])
