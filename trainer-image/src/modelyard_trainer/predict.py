"""Logits of a torch model for many rows, in batches of similar length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

BATCH = 64
Pad = Callable[[Sequence[Any]], dict[str, np.ndarray]]
"""Token ids of rows -> padded model inputs."""


def torch_logits(model: Any, rows: list[np.ndarray], pad: Pad) -> np.ndarray:
    """fp32 logits (rows, classes) in the order of the rows, on the model's device, without dropout."""
    import torch

    model.eval()
    device = next(model.parameters()).device

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        inputs = {name: torch.from_numpy(value).to(device) for name, value in batch.items()}
        with torch.inference_mode():
            logits: np.ndarray = model(**inputs).logits.float().cpu().numpy()
        return logits

    return in_batches(rows, pad, run)


def in_batches(
    rows: list[np.ndarray],
    pad: Pad,
    run: Callable[[dict[str, np.ndarray]], np.ndarray],
) -> np.ndarray:
    """Apply `run` to padded batches, longest rows first, and give its results in the order of the rows."""
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    parts = [run(pad([rows[index] for index in order[at : at + BATCH]])) for at in range(0, len(order), BATCH)]
    found: np.ndarray = np.concatenate(parts)
    result: np.ndarray = np.empty_like(found)
    result[order] = found
    return result
