"""Pictures that a network of some thousand weights learns within seconds, and such networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from modelyard_trainer.tasks import images

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
SIDE = 32


def classified(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of image-classification: the colour of a patch on noise is the class; no two pictures are the same."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        label = sorted(COLOURS)[int(chance.integers(len(COLOURS)))]
        canvas, _box = _patch(_noise(chance), chance, label)
        rows.append({"image": images.written(Image.fromarray(canvas)), "label": label})
    return rows


def detected(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of object-detection: none to two coloured patches on noise."""
    chance = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        canvas, objects = _noise(chance), []
        for _ in range(number % 3):
            label = sorted(COLOURS)[int(chance.integers(len(COLOURS)))]
            canvas, box = _patch(canvas, chance, label)
            objects.append({"label": label, "box": box})
        rows.append({"image": images.written(Image.fromarray(canvas)), "objects": objects})
    return rows


def _noise(chance: np.random.Generator) -> np.ndarray:
    found: np.ndarray = chance.integers(90, 160, (SIDE, SIDE, 3)).astype(np.uint8)
    return found


def _patch(canvas: np.ndarray, chance: np.random.Generator, label: str) -> tuple[np.ndarray, list[float]]:
    width, height = (int(side) for side in chance.integers(8, 17, 2))
    left, top = int(chance.integers(SIDE - width + 1)), int(chance.integers(SIDE - height + 1))
    canvas[top : top + height, left : left + width] = COLOURS[label]
    return canvas, [float(left), float(top), float(width), float(height)]
