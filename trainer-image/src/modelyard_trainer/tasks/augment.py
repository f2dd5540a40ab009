"""Pictures as training sees them this time: moved, turned, larger or smaller; imports torch and torchvision.

Every number is drawn from the generator that is handed in, never from a global state: it follows from seed, epoch and
row, so that a resumed run sees what an unbroken one would have seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from modelyard_trainer.tasks.images import Lens

TURN = 10.0
"""Degrees to either side."""
MOVE = 0.1
"""Share of the picture's side."""
ZOOM = 1.15
LIGHT = 0.2
"""Share by which brightness and contrast change."""


class Change(NamedTuple):
    """What is done to a picture about its middle: turned, then `zoom` times as large, then moved by pixels."""

    angle: float
    right: int
    down: int
    zoom: float

    @classmethod
    def drawn(cls, chance: np.random.Generator, lens: Lens, turn: float = TURN) -> Change:
        """A small one."""
        angle, right, down, zoom = chance.uniform(-1, 1, 4)
        moved = round(right * MOVE * lens.width), round(down * MOVE * lens.height)
        return cls(float(angle * turn), *moved, float(ZOOM**zoom))

    def of_pixels(self, pixels: np.ndarray, lens: Lens) -> np.ndarray:
        """uint8 (channels, height, width) of the same shape; what comes in from outside has the border's colour."""
        found: np.ndarray = functional.affine(
            torch.from_numpy(pixels),
            angle=self.angle,
            translate=[self.right, self.down],
            scale=self.zoom,
            shear=[0.0, 0.0],
            interpolation=InterpolationMode.BILINEAR,
            fill=[float(value) for value in lens.border],
        ).numpy()
        return found

    def of_points(self, points: np.ndarray, lens: Lens) -> np.ndarray:
        """(points, 2) of x and y where they are afterwards, of a change that turns nothing."""
        middle = np.array([lens.width, lens.height]) / 2
        found: np.ndarray = (points - middle) * self.zoom + middle + np.array([self.right, self.down])
        return found


def lit(pixels: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Brighter or darker, with more or less contrast."""
    bright, contrast = (float(1 + LIGHT * number) for number in chance.uniform(-1, 1, 2))
    changed = functional.adjust_contrast(functional.adjust_brightness(torch.from_numpy(pixels), bright), contrast)
    found: np.ndarray = changed.numpy()
    return found
