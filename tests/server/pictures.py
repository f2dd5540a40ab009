"""Tiny versions that read pictures: one tells dark from light, one finds a box that never moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.run import ModelInfo, Written
from modelyard.storage.publish import describe
from modelyard_trainer.tasks import images
from tests.server.onnxfile import FLOAT, INT64, model, node, tensor, value

SIDE = 8
LENS = images.Lens(SIDE, SIDE, "RGB", (0.5,) * 3, (0.25,) * 3)
PIXELS = 3 * SIDE * SIDE
BOX = (2.0, 1.0, 6.0, 7.0)
"""Corners of what the detector finds, in the pixels that it reads."""


def write_classifier(folder: Path) -> Path:
    """Files of a version with the classes dark and light."""
    weights = np.stack([np.full(PIXELS, -1 / PIXELS), np.full(PIXELS, 1 / PIXELS)], axis=1).astype(np.float32)
    nodes = [node("Flatten", ["pixel_values"], "flat"), node("MatMul", ["flat", "weights"], "logits")]
    outputs = [value("logits", FLOAT, ["rows", 2])]
    return _written(folder, "image-classification", ["dark", "light"], nodes, [("weights", weights)], outputs)


def write_detector(folder: Path) -> Path:
    """Files of a version that finds a light thing at BOX if the picture is light, with two places to look at."""
    weights: np.ndarray = np.zeros((PIXELS, 4), dtype=np.float32)
    weights[:, 1] = 4 / PIXELS  # the first place's second class
    constants = [
        ("weights", weights),
        ("never", np.array([-9, 0, -9, -9], dtype=np.float32)),
        ("nowhere", np.zeros((PIXELS, 8), dtype=np.float32)),
        ("corners", np.array([*BOX, *BOX], dtype=np.float32)),
        ("classes", np.array([-1, 2, 2], dtype=np.int64)),
        ("sides", np.array([-1, 2, 4], dtype=np.int64)),
    ]
    nodes = [
        node("Flatten", ["pixel_values"], "flat"),
        node("MatMul", ["flat", "weights"], "seen"),
        node("Add", ["seen", "never"], "scored"),
        node("Reshape", ["scored", "classes"], "logits"),
        node("MatMul", ["flat", "nowhere"], "zeros"),
        node("Add", ["zeros", "corners"], "placed"),
        node("Reshape", ["placed", "sides"], "boxes"),
    ]
    outputs = [value("logits", FLOAT, ["rows", 2, 2]), value("boxes", FLOAT, ["rows", 2, 4])]
    return _written(folder, "object-detection", ["dark", "light"], nodes, constants, outputs)


def _written(
    folder: Path,
    task: str,
    labels: list[str],
    nodes: list[bytes],
    constants: list[tuple[str, np.ndarray]],
    outputs: list[bytes],
) -> Path:
    kinds = {"float32": FLOAT, "int64": INT64}
    known = [tensor(name, array, kinds[array.dtype.name]) for name, array in constants]
    inputs = [value("pixel_values", FLOAT, ["rows", 3, SIDE, SIDE])]
    (folder / "model.onnx").write_bytes(model(nodes, known, inputs, outputs))
    (folder / "manifest.json").write_bytes(describe(folder, "model", _info(task, labels)).to_bytes())
    return folder


def _info(task: str, labels: list[str]) -> dict[str, Any]:
    info = ModelInfo(
        task=task,
        run="run-1",
        model="reviews",
        labels=labels,
        codec={"lens": LENS.settings()},
        artifacts=[Written(format_="onnx", precision="fp32")],
        metrics=[Metrics(set_=TEST, primary="x", values={"x": 1.0})],
        dataset="sha256:0",
        image="trainer",
        sample=images.odd()[0],
    )
    return info.dump()
