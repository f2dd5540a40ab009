"""Hugging Face's Trainer with our rows: batches of similar length in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import Trainer


class EncodedRows(Dataset):  # type: ignore[misc]
    """Token ids and class number per row."""

    def __init__(self, rows: list[np.ndarray], targets: list[int]) -> None:
        self._rows = rows
        self._targets = targets

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self._rows[index], "labels": self._targets[index]}


class Collate:
    """A batch of rows as padded tensors."""

    def __init__(self, pad: Callable[[Sequence[Any]], dict[str, np.ndarray]]) -> None:
        self._pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors of shape (rows, longest row), and labels."""
        arrays = self._pad([row["input_ids"] for row in rows])
        inputs = {name: torch.from_numpy(value) for name, value in arrays.items()}
        return {**inputs, "labels": torch.tensor([row["labels"] for row in rows])}


class SeededByEpoch(Sampler):  # type: ignore[misc]
    """Another sampler's order, drawn from seed and epoch alone."""

    def __init__(self, inner: Any, seed: int, epoch: Callable[[], int]) -> None:
        self._inner = inner
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._inner)

    def __iter__(self) -> Iterator[int]:
        self._inner.generator = torch.Generator().manual_seed(self._seed + self._epoch())
        return iter(self._inner)


class Loop(Trainer):  # type: ignore[misc]
    """The Trainer; its own samplers draw from the global state, which a resumed run cannot repeat."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(preprocess_logits_for_metrics=_logits, **settings)
        # Classifiers take the mean over a batch and ignore the count of items: accumulation must divide itself.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        inner = super()._get_train_sampler(train_dataset)
        return SeededByEpoch(inner, self.args.seed, lambda: int(self.state.epoch or 0))

    def evaluate(self, *args: Any, **settings: Any) -> Any:
        """Draws nothing from the global state: a run that is resumed at the end of an epoch evaluates no more."""
        with torch.random.fork_rng():
            return super().evaluate(*args, **settings)


def _logits(outputs: Any, _: Any) -> Any:
    """Models with an encoder and a decoder answer more than logits, which come first."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
