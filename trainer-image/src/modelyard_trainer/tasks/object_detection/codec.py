"""Pictures in, boxes with classes out, in pixels of the picture as it was sent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.classes import largest_difference, rounded
from modelyard_trainer.tasks.image_codec import ImageReader
from modelyard_trainer.tasks.object_detection.boxes import kept, overlaps
from modelyard_trainer.tasks.object_detection.precision import MOST, average_precisions
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Reading, Tensor

KIND = TASKS["object-detection"]
OBJECTS = "objects"
LEAST = 0.05
"""Score from which a box is answered."""
OVERLAP = 0.5
"""Two boxes of one class that share more than this are one object."""
CANDIDATES = 1000
"""Boxes among which the best are chosen."""
SURE = 0.3
"""Score from which both of two outputs must have an object."""


class Places(NamedTuple):
    """Output of a row: scores before the sigmoid (places, classes); boxes (places, 4) by corners, in model pixels."""

    logits: np.ndarray
    boxes: np.ndarray


class Found(NamedTuple):
    """Boxes that are left, best first; by corners, in model pixels."""

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


class Detector(ImageReader):
    """Codec of a detector."""

    tensors = (
        Tensor("count", "INT64"),
        Tensor("label", "BYTES", (MOST,)),
        Tensor("score", "FP32", (MOST,)),
        Tensor("box", "FP32", (MOST, 4)),
    )

    def __init__(self, lens: images.Lens, labels: list[str]) -> None:
        super().__init__(lens)
        self.labels = labels
        self.number = {label: index for index, label in enumerate(labels)}

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[Places]:
        """Scores and boxes of all places, per row."""
        return [Places(*row) for row in zip(found["logits"], found["boxes"], strict=True)]

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[Places]:
        """Scores and boxes of all places, per row."""
        return self.outputs(graphs["model"](self.batch(readings)), readings)

    def decode(self, output: Places, reading: Reading) -> Answer:
        """Objects, best first: {"label", "score", "box": [x, y, width, height]}, boxes cut at the picture's border."""
        found, place = chosen(output), reading.kept
        shift = np.array([place.left, place.top] * 2)
        most = np.array([place.width, place.height] * 2)
        sides = np.clip((found.boxes - shift) / place.scale, 0, most)
        boxes = np.concatenate([sides[:, :2], sides[:, 2:] - sides[:, :2]], axis=1)
        objects = [
            {"label": self.labels[number], "score": float(score), "box": [round(float(side), 2) for side in box]}
            for box, score, number in zip(boxes, found.scores, found.classes, strict=True)
        ]
        return {OBJECTS: objects}

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """count, and that many labels, scores and boxes; what follows them is empty."""
        rows = len(answers)
        labels: np.ndarray = np.full((rows, MOST), "", dtype=np.object_)
        scores: np.ndarray = np.zeros((rows, MOST), dtype=np.float32)
        boxes: np.ndarray = np.zeros((rows, MOST, 4), dtype=np.float32)
        for row, answer in enumerate(answers):
            for at, one in enumerate(answer[OBJECTS]):
                labels[row, at], scores[row, at], boxes[row, at] = one["label"], one["score"], one["box"]
        count: np.ndarray = np.array([len(answer[OBJECTS]) for answer in answers], dtype=np.int64)
        return {"count": count, "label": labels, "score": scores, "box": boxes}

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """Average precision per class, and its mean."""
        found = average_precisions([one[OBJECTS] for one in answers], [row[OBJECTS] for row in rows])
        figures = ((label, float(of.mean()), float(of[0])) for label, of in found.items())
        classes = {label: {"ap_50_95": rounded(mean), "ap_50": rounded(first)} for label, mean, first in figures}
        means = {name: [one[name] for one in classes.values()] for name in ("ap_50_95", "ap_50")}
        values = {f"m{name}": rounded(sum(all_) / max(len(all_), 1)) for name, all_ in means.items()}
        return Metrics(set_=TEST, primary=KIND.primary, values=values, per_class=classes)

    def difference(self, expected: Places, found: Places) -> float:
        """Largest difference of scores before the sigmoid."""
        return largest_difference(expected.logits, found.logits)

    def same_answer(self, expected: Places, found: Places, rounding: float) -> bool:
        """Whether each object that one is sure of is also the other's, at about the same place."""
        one, other = chosen(expected), chosen(found)
        return _has_all(one, other, rounding) and _has_all(other, one, rounding)

    def finite(self, answer: Answer) -> bool:
        """Whether scores and boxes are numbers."""
        return all(math.isfinite(number) for one in answer[OBJECTS] for number in (one["score"], *one["box"]))


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Detector:
    """From a version's folder."""
    return Detector(images.Lens.of(settings["lens"]), labels)


def chosen(output: Places) -> Found:
    """The boxes that are answered."""
    scores = 1 / (1 + np.exp(-output.logits.astype(np.float64)))
    places, classes = np.nonzero(~(scores < LEAST))  # what is no number is answered, so that it is noticed
    values = scores[places, classes]
    best = np.argsort(-values, kind="stable")[:CANDIDATES]
    boxes, values, classes = output.boxes[places[best]].astype(np.float64), values[best], classes[best]
    left = kept(boxes, values, classes, OVERLAP, MOST)
    return Found(boxes[left], values[left], classes[left])


def _has_all(one: Found, other: Found, rounding: float) -> bool:
    sure = one.scores >= SURE + rounding
    same = (overlaps(one.boxes, other.boxes) >= OVERLAP) & (one.classes[:, None] == other.classes[None, :])
    return bool(same[sure].any(axis=1).all())
