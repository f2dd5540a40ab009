"""What all codecs have in common that read pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.protocols import Arrays, Instance, Reading


class ImageReader:
    """How a version reads pictures; all are read in one size."""

    keys: tuple[str, ...] = (images.KEY,)

    def __init__(self, lens: images.Lens) -> None:
        self.lens = lens
        self.one_size: int | None = images.size_of(lens)
        self.augment = "none"
        """How training changes pictures; nothing that a version knows."""
        self.parse = images.parse
        self.odd = images.odd
        self.as_sent = images.as_sent

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Pixels per picture, and where it lies in them."""
        return images.readings(self.lens, values)

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """pixel_values of shape (rows, channels, height, width)."""
        return images.batch(self.lens, readings)

    def sample(self, instance: Instance) -> Instance:
        """The picture as small as the model reads it."""
        return images.small(instance, self.lens)

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """Any two: all pictures are read in one size."""
        return [readings[0], readings[-1]]

    def save(self, folder: Path) -> dict[str, Any]:
        """How pictures are read."""
        return {"lens": self.lens.settings()}
