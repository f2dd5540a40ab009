"""Mean average precision as COCO defines it (all areas, at most 100 boxes a picture, 101 points of recall)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modelyard_trainer.tasks.object_detection.boxes import corners, overlaps

THRESHOLDS: np.ndarray = np.linspace(0.5, 0.95, 10)
"""Overlaps from which a box counts as found."""
RECALLS: np.ndarray = np.linspace(0, 1, 101)
MOST = 100
"""Boxes of a picture and class that count, best first."""
Objects = Sequence[dict[str, Any]]
"""{"label", "box": [x, y, width, height]}, and "score" of answers."""


def average_precisions(answers: Sequence[Objects], truth: Sequence[Objects]) -> dict[str, np.ndarray]:
    """Per class of the truth, average precision at each of THRESHOLDS."""
    labels = sorted({one["label"] for objects in truth for one in objects})
    return {label: _of_class(*([_only(one, label) for one in all_] for all_ in (answers, truth))) for label in labels}


def _only(objects: Objects, label: str) -> Objects:
    return [one for one in objects if one["label"] == label]


def _of_class(answers: Sequence[Objects], truth: Sequence[Objects]) -> np.ndarray:
    scores, hits = [], []
    for given, wanted in zip(answers, truth, strict=True):
        best = sorted(given, key=lambda one: -one["score"])[:MOST]
        scores += [one["score"] for one in best]
        hits.append(_matched(corners([one["box"] for one in best]), corners([one["box"] for one in wanted])))
    order = np.argsort(-np.array(scores), kind="stable")
    found = np.concatenate(hits, axis=1)[:, order] if hits else np.zeros((len(THRESHOLDS), 0), dtype=bool)
    total = sum(map(len, truth))
    averages: np.ndarray = np.array([_average(row, total) for row in found])
    return averages


def _matched(given: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(thresholds, given): whether a box, the best first, finds an object that no better one found."""
    hits: np.ndarray = np.zeros((len(THRESHOLDS), len(given)), dtype=bool)
    shared = overlaps(given, wanted)
    for level, threshold in enumerate(THRESHOLDS):
        free: np.ndarray = np.ones(len(wanted), dtype=bool)
        for index in range(len(given)):
            fit = np.where(free, shared[index], -1.0)
            if len(fit) and fit.max() >= threshold - 1e-10:
                hits[level, index], free[int(fit.argmax())] = True, False
    return hits


def _average(hits: np.ndarray, total: int) -> float:
    """Mean of the best precision at or beyond each recall."""
    right = np.cumsum(hits)
    recall, precision = right / total, right / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.asarray(np.searchsorted(recall, RECALLS, side="left"))
    return float(np.append(best, 0.0)[np.minimum(at, len(best))].mean())
