"""Hugging Face's Trainer with our rows: batches of similar size in an order that a resumed run repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset
from transformers import Trainer

from modelyard.api.modelversion import Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.best import SCORE
from modelyard_trainer.errors import Interrupted
from modelyard_trainer.methods import method_named
from modelyard_trainer.predict import batches
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.protocols import Answer, Codec, Fields, Output, Reading, Settling


class Example(NamedTuple):
    """A row as the model reads it, and what it should give."""

    reading: Reading
    target: Any


class Examples(Dataset):  # type: ignore[misc]
    """What the model reads of each row, and what it should give; changed at random where `epoch` tells the epoch."""

    def __init__(self, run: TrainRun, split: str, epoch: Callable[[], int] | None = None) -> None:
        self._learner = learner_of(run.config.task)
        self._codec = run.codec
        self._rows = run.rows[split]
        self._read = run.read[split]
        self._seed = run.config.train.seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._read)

    @property
    def sizes(self) -> np.ndarray:
        """Size of each row."""
        return self._read.sizes

    def __getitem__(self, index: int) -> Example:
        reading = self._read[index]
        target = self._learner.targets(self._codec, self._rows[index], reading)
        if self._epoch is not None:  # what is drawn follows from seed, epoch and row, so a resumed run repeats it
            draw = np.random.default_rng([self._seed, self._epoch(), index])
            reading, target = self._learner.augmented(self._codec, reading, target, draw)
        return Example(reading, target)

    def collate(self, examples: Sequence[Example]) -> dict[str, Any]:
        """Tensors of a batch."""
        return self._learner.collate(self._codec, [one.reading for one in examples], [one.target for one in examples])


class Judged:
    """Answers to validation rows, as the outputs come."""

    def __init__(self, codec: Codec, rows: Sequence[Fields]) -> None:
        self._codec = codec
        self._rows = rows
        self._answers = list[Answer]([{}] * len(rows))
        self._waiting: dict[int, tuple[Output, Reading]] = {}
        """Outputs of a codec that has to see all of them before it answers."""

    def add(self, numbers: Sequence[int] | np.ndarray, outputs: Sequence[Output], readings: Sequence[Reading]) -> None:
        """Outputs of the rows of these numbers."""
        for row, output, reading in zip(numbers, outputs, readings, strict=True):
            if isinstance(self._codec, Settling):
                self._waiting[row] = output, reading
            else:
                self._answers[row] = self._codec.decode(output, reading)

    def measured(self) -> Metrics:
        """Quality of the answers to all rows."""
        if isinstance(self._codec, Settling):
            found = [self._waiting[row] for row in range(len(self._rows))]
            self._codec.settle([output for output, _ in found], self._rows)
            self._answers = [self._codec.decode(output, reading) for output, reading in found]
        return self._codec.measure(self._answers, self._rows)


POOL = 50
"""Batches among whose rows those of similar size are put together."""


def batch_order(sizes: np.ndarray, size: int, seed: int, epoch: int) -> np.ndarray:
    """Row numbers of one epoch: batches of `size` rows of similar size, the batches themselves in random order.

    The order follows from seed and epoch alone, each pair with an order of its own. Rows that fill no batch come last.
    """
    chance = np.random.default_rng([seed, epoch])
    rows = chance.permutation(len(sizes))
    whole = len(rows) - len(rows) % size
    pools = [rows[at : min(at + POOL * size, whole)] for at in range(0, whole, POOL * size)]
    alike = [pool[np.argsort(sizes[pool], kind="stable")].reshape(-1, size) for pool in pools]
    batches = chance.permutation(np.concatenate(alike)) if alike else rows[:0]
    order: np.ndarray = np.concatenate([batches.reshape(-1), rows[whole:]])
    return order


class MicroBatches(BatchSampler):  # type: ignore[misc]
    """Batches of the epoch that `epoch` tells, each in parts of at most so many rows; no part reaches into the next.

    So each optimizer step has the rows of its batch, whatever the size of the parts.
    """

    def __init__(self, sizes: np.ndarray, size: int, at_once: int, seed: int, epoch: Callable[[], int]) -> None:
        self.batch_size = at_once
        self.drop_last = False
        self._sizes = sizes
        self._size = size
        self._seed = seed
        self._epoch = epoch
        batches = range(0, len(sizes), size)
        starts = [range(at, min(at + size, len(sizes)), at_once) for at in batches]
        self._parts = [slice(at, min(at + at_once, one.stop)) for one in starts for at in one]

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[list[int]]:
        order = batch_order(self._sizes, self._size, self._seed, self._epoch()).tolist()
        return iter([order[part] for part in self._parts])


class Loop(Trainer):  # type: ignore[misc]
    """The Trainer; its own samplers draw from the global state, which a resumed run cannot repeat."""

    loss_is_scaled_for_ga = True
    control: Any
    optimizer: Any

    def __init__(self, run: TrainRun, evaluation_size: int, **settings: Any) -> None:
        self._run = run
        self._learner = learner_of(run.config.task)
        self._size = evaluation_size
        train, self._validation = Examples(run, "train", self._epoch), Examples(run, "validation")
        super().__init__(model=run.model, train_dataset=train, data_collator=train.collate, **settings)
        # Models take the mean over a batch and ignore the count of items: compute_loss weights it.
        self.model_accepts_loss_kwargs = False

    def get_train_dataloader(self) -> Any:
        """Parts of batches, in an order of their own."""
        size, at_once = self._run.config.train.batch_size, self.args.train_batch_size
        rows = self.train_dataset
        order = MicroBatches(rows.sizes, size, at_once, self.args.seed, self._epoch)
        pinned = self.args.dataloader_pin_memory
        loader = DataLoader(rows, batch_sampler=order, collate_fn=self.data_collator, pin_memory=pinned)
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model: Any = None) -> Any:
        """The library's, or, where the method gives weights rates of their own, one with a group per rate."""
        config = self._run.config
        rates = method_named(config.method.kind).rates(self.model, config.method.block)
        if rates and self.optimizer is None:
            kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            self.optimizer = kind(self._groups(rates, settings["lr"]), **settings)
        return super().create_optimizer(model)

    def _groups(self, rates: Mapping[str, float], rate: float) -> list[dict[str, Any]]:
        decaying = set(self.get_decay_parameter_names(self.model))
        groups: dict[tuple[float, float], list[Any]] = {}
        for name, weight in self.model.named_parameters():
            if weight.requires_grad:
                decay = self.args.weight_decay if name in decaying else 0.0
                groups.setdefault((rates.get(name, 1.0), decay), []).append(weight)
        return [
            {"params": weights, "lr": rate * factor, "weight_decay": decay}
            for (factor, decay), weights in groups.items()
        ]

    def _epoch(self) -> int:
        return int(self.state.epoch or 0)

    def get_batch_samples(self, *args: Any, **settings: Any) -> Any:
        """The parts of one batch, and its items."""
        parts, _ = super().get_batch_samples(*args, **settings)
        return parts, sum(self._learner.items(part) for part in parts)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: int | None = None
    ) -> Any:
        """A part's mean loss weighted by its share of the batch's items: the sum is the mean of the whole batch."""
        items = self._learner.items(inputs)
        found = super().compute_loss(model, inputs, return_outputs)
        if num_items_in_batch is None:
            return found
        return found * (items / num_items_in_batch)

    def evaluate(self, *args: Any, **settings: Any) -> dict[str, float]:
        """Measure decoded answers to the validation rows, by the codec that will serve.

        Draws nothing from the global state, and is owed by the checkpoint of a pod that has no time for it.
        """
        try:
            with torch.random.fork_rng():
                values = self._judge()
        except Interrupted:
            self._save_checkpoint(self.model, trial=None)
            self.callback_handler.on_save(self.args, self.state, self.control)
            raise
        metrics = {f"eval_{name}": value for name, value in values.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _judge(self) -> dict[str, float]:
        """Mean loss, the task's metrics, and the score that the best weights are chosen by."""
        codec, task = self._run.codec, TASKS[self._run.config.task]
        model = self.model.eval()
        judged = Judged(codec, self._run.rows["validation"])
        loss, items = 0.0, 0
        for batch in batches(self._validation.sizes, self._size):
            examples = [self._validation[row] for row in batch]
            inputs, readings = self._prepare_inputs(self.data_collator(examples)), [one.reading for one in examples]
            with torch.inference_mode(), self.compute_loss_context_manager():
                mean, outputs = self._learner.judged(model, inputs, codec, readings)
            judged.add(batch, outputs, readings)
            counted = self._learner.items(inputs)
            loss, items = loss + mean * counted, items + counted
            self.control = self.callback_handler.on_prediction_step(self.args, self.state, self.control)
        values = judged.measured().values
        score = task.metric(task.primary).score(values[task.primary])
        return {"loss": loss / max(items, 1), **values, SCORE: score}
