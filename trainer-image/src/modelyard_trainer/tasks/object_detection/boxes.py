"""Boxes as numpy arrays: how much two of them share, and which of many that overlap are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def corners(boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """(boxes, 4) of left, top, right, bottom from [x, y, width, height]."""
    found: np.ndarray = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    sides: np.ndarray = np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1)
    return sides


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of each pair, shape (boxes of one, boxes of other), from corners."""
    least = np.maximum(one[:, None, :2], other[None, :, :2])
    most = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.prod(np.clip(most - least, 0, None), axis=2)
    areas = (np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1) for boxes in (one, other))
    first, second = areas
    whole: np.ndarray = np.maximum(first[:, None] + second[None, :] - shared, 1e-9)
    ratio: np.ndarray = shared / whole
    return ratio


def kept(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, overlap: float, most: int) -> np.ndarray:
    """Numbers of the boxes that stay, best first: of one class, none that shares more with a better one."""
    order = np.argsort(-scores, kind="stable")
    shared = overlaps(boxes, boxes) > overlap
    shared &= classes[:, None] == classes[None, :]
    found: list[int] = []
    gone: np.ndarray = np.zeros(len(order), dtype=bool)
    for index in order:
        if not gone[index]:
            found.append(int(index))
            gone |= shared[index]
        if len(found) == most:
            break
    numbers: np.ndarray = np.array(found, dtype=np.int64)
    return numbers
