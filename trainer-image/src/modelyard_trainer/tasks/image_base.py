"""How the training rows of a run decide what its pictures are read as."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelyard_trainer.errors import bad_config
from modelyard_trainer.tasks import images

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

SEEN = 2_000
"""Training rows whose pictures decide about size, colour and mean; rows lie in the order of a hash."""
LARGEST = 224
"""Pixels of the longer side that a size taken from the rows has at most."""
SMALLEST = 16


def fitted(run: TrainRun, largest: int = LARGEST, step: int | None = None) -> tuple[images.Lens, str]:
    """How pictures are read, and how training changes them (spec.input.image)."""
    asked = run.config.input.image
    if asked is None:
        raise bad_config("the run's input has no block for images: the operator is older than this trainer image")
    if run.parent is not None:
        return images.Lens.of(run.parent.codec["lens"]), asked.augment
    if run.config.scratch is None or run.part:
        told = f"models for {run.config.task} are made by our trainer, from scratch or from a version"
        raise bad_config(f"{told}: set spec.from.scratch or spec.from.version")
    rows = run.rows["train"]
    files = [rows[row][images.KEY] for row in range(min(len(rows), SEEN))]
    return lens_for(files, asked.size, largest, step), asked.augment


def lens_for(
    files: Sequence[bytes], longer: int | None = None, largest: int = LARGEST, step: int | None = None
) -> images.Lens:
    """How pictures like these are read: size of the median one, colour if any has one, mean and variance of theirs.

    `longer`: pixels of the longer side, in place of the median's, which never takes more than `largest`.
    """
    files = files[:SEEN]
    sizes, grey = [], True
    for picture in map(images.opened, files):  # one after the other: decoded, some are large
        sizes.append(picture.size)
        grey = grey and images.is_grey(picture)
    mode: images.Mode = "L" if grey else "RGB"
    height, width = size_of(sizes, longer, largest, step)
    channels = 1 if mode == "L" else 3
    plain = images.Lens(height, width, mode, (0.0,) * channels, (1.0,) * channels, stretch=True)
    total, squares = np.zeros(channels), np.zeros(channels)
    for data in files:
        pixels = plain.read(data)[0].reshape(channels, -1) / 255
        total += pixels.mean(axis=1)
        squares += (pixels**2).mean(axis=1)
    mean = total / len(files)
    std = np.sqrt(np.maximum(squares / len(files) - mean**2, 0))
    # Pictures of one colour have no variance; the number is as good as any other.
    return images.Lens(height, width, mode, _short(mean), _short(np.where(std < 0.01, 1.0, std)))


def _short(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def size_of(
    sizes: Sequence[tuple[int, int]], longer: int | None, largest: int, step: int | None = None
) -> tuple[int, int]:
    """Height and width: the median proportions, both a multiple of `step`, or of the `grid` of the longer side."""
    width, height = (float(np.median(side)) for side in zip(*sizes, strict=True))
    side = float(longer or min(max(width, height, SMALLEST), largest))
    scale, step = side / max(width, height), step or grid(round(side))
    return _whole(height * scale, step), _whole(width * scale, step)


def grid(longer: int) -> int:
    """Pixels that a side is a multiple of: 49 to 200 squares of it make a picture, which a ViT reads as its tokens."""
    return 4 if longer <= 36 else 8 if longer <= 112 else 16


def _whole(side: float, step: int) -> int:
    return max(step, step * math.ceil(round(side) / step))
