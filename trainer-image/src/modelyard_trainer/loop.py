"""Hugging Face's Trainer with our rows: batches of similar length in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset
from transformers import Trainer

from modelyard_trainer.errors import Interrupted
from modelyard_trainer.predict import batches


class EncodedRows(Dataset):  # type: ignore[misc]
    """Token ids and class number per row."""

    def __init__(self, rows: list[np.ndarray], targets: list[int]) -> None:
        self._rows = rows
        self._targets = targets

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens per row."""
        lengths: np.ndarray = np.array([len(row) for row in self._rows])
        return lengths

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


POOL = 50
"""Batches among whose rows those of similar length are put together."""


def batch_order(lengths: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers of one epoch: batches of `size` rows of similar length, the batches themselves in random order.

    The order follows from seed and epoch alone, each pair with an order of its own. Rows that fill no batch come last.
    """
    chance = np.random.default_rng([seed, epoch])
    rows = chance.permutation(len(lengths))
    whole = len(rows) - len(rows) % size
    pools = [rows[at : min(at + POOL * size, whole)] for at in range(0, whole, POOL * size)]
    alike = [pool[np.argsort(lengths[pool], kind="stable")].reshape(-1, size) for pool in pools]
    batches = chance.permutation(np.concatenate(alike)) if alike else rows[:0]
    order: np.ndarray = np.concatenate([batches.reshape(-1), rows[whole:]])
    return order


class MicroBatches(BatchSampler):  # type: ignore[misc]
    """Batches of the epoch that `epoch` tells, each in parts of at most so many rows; no part reaches into the next.

    So each optimizer step has the rows of its batch, whatever the size of the parts.
    """

    def __init__(self, lengths: np.ndarray, size: int, at_once: int, seed: int, epoch: Callable[[], int]) -> None:
        self.batch_size = at_once
        self.drop_last = False
        self._lengths = lengths
        self._size = size
        self._seed = seed
        self._epoch = epoch
        batches = range(0, len(lengths), size)
        starts = [range(at, min(at + size, len(lengths)), at_once) for at in batches]
        self._parts = [slice(at, min(at + at_once, one.stop)) for one in starts for at in one]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[list[int]]:
        order = batch_order(self._lengths, self._size, self._seed, self._epoch()).tolist()
        return iter([order[part] for part in self._parts])


class BatchesByTokens(BatchSampler):  # type: ignore[misc]
    """Batches of at most so many padded tokens, longest rows first."""

    def __init__(self, lengths: np.ndarray, tokens: int) -> None:
        self.batch_size = 1  # of one size they are not; accelerate would take the rest by this size for a last batch
        self.drop_last = False
        self._batches = [batch.tolist() for batch in batches(lengths, tokens)]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)


class Loop(Trainer):  # type: ignore[misc]
    """The Trainer; its own samplers draw from the global state, which a resumed run cannot repeat."""

    loss_is_scaled_for_ga = True

    def __init__(self, batch_size: int, evaluation_tokens: int, **settings: Any) -> None:
        self._batch_size = batch_size
        self._tokens = evaluation_tokens
        super().__init__(preprocess_logits_for_metrics=_logits, **settings)
        # Classifiers take the mean over a batch and ignore the count of items: compute_loss weights it.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> Any:
        """Parts of batches, in an order of their own."""
        rows, at_once = self.train_dataset, self.args.train_batch_size
        order = MicroBatches(
            rows.lengths, self._batch_size, at_once, self.args.seed, lambda: int(self.state.epoch or 0)
        )
        return self._loader(rows, order)

    def get_batch_samples(self, *args: Any, **settings: Any) -> Any:
        """The parts of one batch, and its rows."""
        parts, _ = super().get_batch_samples(*args, **settings)
        return parts, sum(len(part["labels"]) for part in parts)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: int | None = None
    ) -> Any:
        """A part's mean loss weighted by its share of the batch's rows: the sum is the mean of the whole batch."""
        found = super().compute_loss(model, inputs, return_outputs)
        if num_items_in_batch is None:
            return found
        return found * (len(inputs["labels"]) / num_items_in_batch)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Batches by memory."""
        rows = eval_dataset if eval_dataset is not None else self.eval_dataset
        return self._loader(rows, BatchesByTokens(rows.lengths, self._tokens))

    def _loader(self, rows: Any, batches: BatchSampler) -> Any:
        pinned = self.args.dataloader_pin_memory
        loader = DataLoader(rows, batch_sampler=batches, collate_fn=self.data_collator, pin_memory=pinned)
        return self.accelerator.prepare(loader)

    def prediction_step(self, *args: Any, **settings: Any) -> Any:
        """The batch's loss once for each of its rows, so that the mean is one over rows."""
        loss, logits, labels = super().prediction_step(*args, **settings)
        return loss.repeat(len(labels)), logits, labels

    def evaluate(self, *args: Any, **settings: Any) -> Any:
        """Draws nothing from the global state, and is owed by the checkpoint of a pod that has no time for it."""
        try:
            with torch.random.fork_rng():
                return super().evaluate(*args, **settings)
        except Interrupted:
            self._save_checkpoint(self.model, trial=None)
            self.callback_handler.on_save(self.args, self.state, self.control)
            raise


def _logits(outputs: Any, _: Any) -> Any:
    """Models with an encoder and a decoder answer more than logits, which come first."""
    return outputs[0] if isinstance(outputs, tuple) else outputs
