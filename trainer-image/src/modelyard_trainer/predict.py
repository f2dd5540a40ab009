"""Outputs of a model for many rows, in batches of similar size that fit into memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from modelyard_trainer.data.readings import Readings
from modelyard_trainer.tasks.protocols import Codec, Graph, Output, Reading

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

SIZE = 4096
"""Padded size of a batch (tokens) that any machine takes which takes the model."""


def size_at_once(run: TrainRun) -> int:
    """Padded size that an evaluation batch may have: as much as training has at once, which needs more memory."""
    if run.part == "publish":
        return SIZE  # a foreign container trained, with batches that nobody here knows
    longest = int(run.read["train"].sizes.max(initial=0))
    return max(SIZE, run.config.micro_batch * longest)


def batches(sizes: Sequence[int] | np.ndarray, most: int) -> list[np.ndarray]:
    """Row numbers per batch, largest rows first; rows x largest row <= `most`, or a single row."""
    widths: np.ndarray = np.maximum(np.asarray(sizes, dtype=np.int64), 1)
    order: np.ndarray = np.argsort(-widths, kind="stable")
    found, at = [], 0
    while at < len(order):
        size = max(1, most // int(widths[order[at]]))
        found.append(order[at : at + size])
        at += size
    return found


def outputs_of(
    codec: Codec,
    graphs: Mapping[str, Graph],
    readings: Sequence[Reading],
    most: int = SIZE,
) -> list[Output]:
    """One output per reading, in their order, in batches of at most so large a padded size."""
    return in_batches(codec, graphs, readings, batches(sizes_of(readings), most))


def sizes_of(readings: Sequence[Reading]) -> np.ndarray:
    """Size of each; those of a run's rows are known without reading them."""
    known = readings.sizes if isinstance(readings, Readings) else [reading.size for reading in readings]
    sizes: np.ndarray = np.asarray(known, dtype=np.int64)
    return sizes


def in_batches(
    codec: Codec, graphs: Mapping[str, Graph], readings: Sequence[Reading], rows: Iterable[Sequence[int] | np.ndarray]
) -> list[Output]:
    """One output per reading, in their order; `rows` are the numbers of each batch's."""
    found: list[Output] = [None] * len(readings)
    for batch in rows:
        for row, output in zip(batch, codec.answer(graphs, [readings[row] for row in batch]), strict=True):
            found[row] = output
    return found
