"""The dense detector: what it should say at each place, and what it must beat."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelyard_trainer import going_on
from modelyard_trainer.tasks import image_base, images
from modelyard_trainer.tasks.object_detection.boxes import corners
from modelyard_trainer.tasks.object_detection.codec import OBJECTS, Detector, Places
from modelyard_trainer.tasks.protocols import Answer, Fields, Part, Reading
from modelyard_trainer.tasks.text_base import label_settings

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

ADAPTER_TASK = "FEATURE_EXTRACTION"
LINEAR_PROBE = False
SIDES = 32
"""Pixels that the sides of what the model reads are a multiple of."""
LARGEST = 320
REACH = 1.5
"""Strides from the middle of a box within which a place learns it."""


class Target(NamedTuple):
    """Objects of a row: boxes (objects, 4) by corners, in model pixels, and class numbers."""

    boxes: np.ndarray
    numbers: np.ndarray


def fit(run: TrainRun) -> Detector:
    """The codec for the size, colours and classes of the training rows."""
    lens, augment = image_base.fitted(run, LARGEST, SIDES)
    codec = Detector(lens, sorted({one["label"] for row in run.rows["train"] for one in row[OBJECTS]}))
    codec.augment = augment
    return codec


def load_model(run: TrainRun, codec: Detector) -> tuple[Any, list[str]]:
    """The dense detector with random weights, or that of the version it goes on from."""
    from modelyard_trainer.tasks.object_detection.model import DenseConfig, DenseForObjectDetection

    if run.parent is not None:
        return going_on.network(run, {DenseConfig.model_type: DenseForObjectDetection}, codec.labels)
    lens = codec.lens
    settings = label_settings(codec.labels)
    config = DenseConfig(num_channels=len(lens.mean), image_size=[lens.height, lens.width], **settings)
    return DenseForObjectDetection(config), []


def guessing(codec: Detector) -> float:
    """No loss says how well one would do who knows nothing."""
    return math.inf


def targets(codec: Detector, row: Fields, reading: Reading) -> Target:
    """The row's objects as the model sees them."""
    place = reading.kept
    boxes = corners([one["box"] for one in row[OBJECTS]]) * place.scale + np.array([place.left, place.top] * 2)
    return Target(boxes, np.array([codec.number[one["label"]] for one in row[OBJECTS]], dtype=np.int64))


def augmented(codec: Detector, reading: Reading, target: Target, draw: np.random.Generator) -> tuple[Reading, Target]:
    """Picture and boxes moved, made larger or smaller, in other light.

    Objects whose middle leaves the picture are not looked for; boxes end at its border.
    """
    if codec.augment == "none":
        return reading, target
    from modelyard_trainer.tasks.augment import Change, lit

    lens, change = codec.lens, Change.drawn(draw, codec.lens, turn=0.0)
    pixels = lit(change.of_pixels(reading.inputs["pixels"], lens), draw)
    moved = change.of_points(target.boxes.reshape(-1, 2), lens).reshape(-1, 4)
    most = np.array([lens.width, lens.height])
    middles = (moved[:, :2] + moved[:, 2:]) / 2
    left = ((middles > 0) & (middles < most)).all(axis=1)
    boxes = np.clip(moved, 0, np.tile(most, 2))[left]
    return replace(reading, inputs={"pixels": pixels}), Target(boxes, target.numbers[left])


def collate(codec: Detector, readings: Sequence[Reading], targets: Sequence[Target]) -> dict[str, Any]:
    """Pixels, and what each place should say."""
    import torch

    spots = middles(codec.lens)
    wanted = [per_place(target, spots) for target in targets]
    numbers, boxes = (np.stack(one) for one in zip(*wanted, strict=True))
    inputs = {name: torch.from_numpy(value) for name, value in codec.batch(readings).items()}
    return {**inputs, "numbers": torch.from_numpy(numbers), "wanted": torch.from_numpy(boxes)}


def middles(lens: images.Lens) -> np.ndarray:
    """(places, 2) x and y of the places, as the model has them."""
    from modelyard_trainer.tasks.object_detection.model import places

    found: np.ndarray = places(lens.height, lens.width).numpy()
    return found


def per_place(target: Target, spots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class number (-1 for none) and box of each place: of the smallest object near whose middle it lies.

    Each object has one place at least: the one next to its middle.
    """
    from modelyard_trainer.tasks.object_detection.model import STRIDE

    numbers: np.ndarray = np.full(len(spots), -1, dtype=np.int64)
    boxes: np.ndarray = np.zeros((len(spots), 4), dtype=np.float32)
    sizes = np.prod(target.boxes[:, 2:] - target.boxes[:, :2], axis=1)
    nearest = {}
    for index in np.argsort(-sizes, kind="stable"):
        box = target.boxes[index]
        middle = (box[:2] + box[2:]) / 2
        near = (np.abs(spots - middle) <= REACH * STRIDE).all(axis=1)
        inside = near & ((spots > box[:2]) & (spots < box[2:])).all(axis=1)
        numbers[inside], boxes[inside] = target.numbers[index], box
        nearest[index] = int(((spots - middle) ** 2).sum(axis=1).argmin())
    for index, spot in nearest.items():
        numbers[spot], boxes[spot] = target.numbers[index], target.boxes[index]
    return numbers, boxes


def items(inputs: Mapping[str, Any]) -> int:
    """The loss is a mean over rows."""
    return len(inputs["numbers"])


def judged(
    model: Any, inputs: Mapping[str, Any], codec: Detector, readings: Sequence[Reading]
) -> tuple[float, list[Places]]:
    """Loss, and scores and boxes of all places."""
    found = model(**inputs)
    arrays = {name: found[name].float().cpu().numpy() for name in ("logits", "boxes")}
    return float(found.loss), codec.outputs(arrays, readings)


def parts(model: Any) -> dict[str, Part]:
    """One pass: pixels -> logits and boxes."""
    import torch

    class Heads(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            found = self.model(pixel_values)
            return found.logits, found.boxes

    example = np.zeros((2, model.config.num_channels, *model.config.image_size), dtype=np.float32)
    return {"model": Part(Heads(), {images.PIXELS: example}, ("logits", "boxes"), {images.PIXELS: (0,)})}


def baselines(codec: Detector) -> dict[str, Any]:
    """The commonest class at the mean box."""
    return {"mean_box": mean_box}


def mean_box(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """One object in each picture: of the commonest class, where the middle of all training boxes lies."""
    seen = Counter(one["label"] for row in train for one in row[OBJECTS])
    if not seen:
        return [{OBJECTS: []} for _ in test]
    shares = [np.array([one["box"] for one in row[OBJECTS]]) / size(row) for row in train if row[OBJECTS]]
    box, label = np.concatenate(shares).mean(axis=0), seen.most_common(1)[0][0]
    return [{OBJECTS: [{"label": label, "score": 1.0, "box": (box * size(row)).tolist()}]} for row in test]


def size(row: Fields) -> np.ndarray:
    """Width, height, width, height of the row's picture."""
    found: np.ndarray = np.array(images.opened(row[images.KEY]).size * 2, dtype=np.float64)
    return found
