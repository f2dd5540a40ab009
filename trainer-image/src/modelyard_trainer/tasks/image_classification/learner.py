"""Small picture classifiers, made from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from modelyard_trainer import going_on
from modelyard_trainer.tasks import classes, image_base, images, learning
from modelyard_trainer.tasks.image_classification.codec import ImageClassifier
from modelyard_trainer.tasks.protocols import Answer, Fields, Part, Reading
from modelyard_trainer.tasks.text_base import label_settings

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

ADAPTER_TASK = "IMAGE_CLASSIFICATION"
LINEAR_PROBE = False
guessing, targets = learning.all_as_likely, learning.class_number
collate, items, judged = learning.with_class_numbers, learning.rows_in, learning.judged_by_logits


def fit(run: TrainRun) -> ImageClassifier:
    """The codec for the size, colours and classes of the training rows."""
    lens, augment = image_base.fitted(run)
    codec = ImageClassifier(lens, classes.labels_of(run.rows["train"]))
    codec.augment = augment
    return codec


def load_model(run: TrainRun, codec: ImageClassifier) -> tuple[Any, list[str]]:
    """A network of the architecture that is asked for, with random weights; or that of the version it goes on from."""
    from modelyard_trainer.tasks.image_classification.models import KINDS, MADE

    if run.parent is not None:
        return going_on.network(run, KINDS, codec.labels)
    return MADE[str(run.config.scratch)](codec.lens, label_settings(codec.labels)), []


def augmented(codec: ImageClassifier, reading: Reading, target: int, draw: np.random.Generator) -> tuple[Reading, int]:
    """The picture moved, turned, larger or smaller."""
    if codec.augment == "none":
        return reading, target
    from modelyard_trainer.tasks.augment import Change

    pixels = Change.drawn(draw, codec.lens).of_pixels(reading.inputs["pixels"], codec.lens)
    return replace(reading, inputs={"pixels": pixels}), target


def parts(model: Any) -> dict[str, Part]:
    """One pass: pixels -> logits."""
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: Any) -> Any:
            return self.model(pixel_values=pixel_values).logits

    example = {images.PIXELS: np.zeros((2, model.config.num_channels, *model.config.image_size), dtype=np.float32)}
    return {"model": Part(Logits(), example, ("logits",), {images.PIXELS: (0,)})}


def baselines(codec: ImageClassifier) -> dict[str, Any]:
    """The commonest class, and logistic regression on pixels."""

    def pixels(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
        return classes_by_pixels(codec, train, test)

    return {"majority": classes.majority, "pixels_logistic_regression": pixels}


def classes_by_pixels(codec: ImageClassifier, train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Logistic regression on the numbers of pictures, made small."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200))
    model.fit(_thumbs(codec, train), [row["label"] for row in train])
    return [classes.certain(str(label)) for label in model.predict(_thumbs(codec, test))]


THUMB = 32
"""Pixels of the longer side that the baseline looks at."""


def _thumbs(codec: ImageClassifier, rows: Sequence[Fields]) -> np.ndarray:
    lens = codec.lens
    scale = min(1.0, THUMB / max(lens.height, lens.width))
    size = max(1, round(lens.height * scale)), max(1, round(lens.width * scale))
    thumb = images.Lens(*size, lens.mode, lens.mean, lens.std, lens.stretch)
    found: np.ndarray = np.stack([thumb.read(row[images.KEY])[0].reshape(-1) for row in rows]).astype(np.float32)
    return found
