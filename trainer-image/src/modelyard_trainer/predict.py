"""Logits of a torch model for many rows, in batches of similar length that fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

TOKENS = 4096
"""Padded tokens of a batch that any machine takes which takes the model."""
Pad = Callable[[Sequence[Any]], dict[str, np.ndarray]]
"""Token ids of rows -> padded model inputs."""


def tokens_at_once(run: TrainRun) -> int:
    """Padded tokens that an evaluation batch may have: as many as training has at once, which needs more memory."""
    if run.part == "publish":
        return TOKENS  # a foreign container trained, with batches that nobody here knows
    longest = max((len(row) for row in run.encoded["train"]), default=0)
    return max(TOKENS, run.config.micro_batch * longest)


def batches(lengths: Sequence[int] | np.ndarray, tokens: int) -> list[np.ndarray]:
    """Row numbers per batch, longest rows first; rows x longest row <= `tokens`, or a single row."""
    widths: np.ndarray = np.maximum(np.asarray(lengths, dtype=np.int64), 1)
    order: np.ndarray = np.argsort(-widths, kind="stable")
    found, at = [], 0
    while at < len(order):
        size = max(1, tokens // int(widths[order[at]]))
        found.append(order[at : at + size])
        at += size
    return found


def torch_logits(model: Any, rows: list[np.ndarray], pad: Pad, tokens: int = TOKENS) -> np.ndarray:
    """fp32 logits (rows, classes) in the order of the rows, on the model's device, without dropout.

    `tokens`: padded tokens of a batch.
    """
    import torch

    model.eval()
    device = next(model.parameters()).device
    order = batches([len(row) for row in rows], tokens)
    parts = []
    with torch.inference_mode():
        for batch in order:
            padded = pad([rows[index] for index in batch])
            inputs = {name: torch.from_numpy(value).to(device) for name, value in padded.items()}
            parts.append(model(**inputs).logits.float().cpu().numpy())
    found: np.ndarray = np.concatenate(parts)
    result: np.ndarray = np.empty_like(found)
    result[np.concatenate(order)] = found
    return result
