"""Pictures in, classes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.image_codec import ImageReader
from modelyard_trainer.tasks.row_classifier import RowClassifier

KIND = TASKS["image-classification"]


class ImageClassifier(ImageReader, RowClassifier):
    """Codec of a picture classifier."""

    def __init__(self, lens: images.Lens, labels: list[str]) -> None:
        ImageReader.__init__(self, lens)
        RowClassifier.__init__(self, labels, KIND.primary)


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> ImageClassifier:
    """From a version's folder."""
    return ImageClassifier(images.Lens.of(settings["lens"]), labels)
