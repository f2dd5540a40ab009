"""Instances in, classes out: what the server does with a request, without the server.

A run's pod answers its test rows by this code before it publishes, so nothing of KServe may be imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from modelyard_server.load import Loaded
from modelyard_trainer.tasks.text_classification import Prediction

BATCH_ROWS = 32


class Left(Exception):
    """Nobody waits for the answer any more."""


def always() -> bool:
    """Whether the answer is wanted: yes."""
    return True


class Classifier:
    """Answers instances in batches of similar length; safe to call from several threads."""

    def __init__(self, loaded: Loaded, batch_rows: int = BATCH_ROWS) -> None:
        self.info = loaded.info
        self._loaded = loaded
        self._batch_rows = batch_rows
        self._inputs = {tensor.name for tensor in loaded.session.get_inputs()}

    def predict(self, instances: Sequence[Any], wanted: Callable[[], bool] = always) -> list[Prediction]:
        """One prediction per instance, in their order; ValueError for what is none, Left once it is not wanted."""
        return self._loaded.task.decode(self.logits(self.read(instances), wanted), self.info.labels)

    def read(self, instances: Sequence[Any]) -> list[list[int]]:
        """Token ids per instance: parsed, prepared as the version's rows were, cut at its length."""
        texts = self._loaded.task.texts_of(instances, self.info.prepare)
        return self._loaded.task.token_ids(self._loaded.tokenizer, texts)

    def logits(self, ids: Sequence[Sequence[int]], wanted: Callable[[], bool] = always) -> np.ndarray:
        """Logits (rows, classes) in the order of the rows; asks before each batch whether they are still wanted."""
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        found: np.ndarray = np.empty((len(ids), len(self.info.labels)), dtype=np.float32)
        for start in range(0, len(order), self._batch_rows):
            if not wanted():
                raise Left
            rows = order[start : start + self._batch_rows]
            found[rows] = self._batch([ids[row] for row in rows])
        return found

    def check(self) -> None:
        """Answer the version's own sample; ValueError if that gives no probabilities."""
        scores = list(self.predict([self.info.sample])[0].scores.values())
        if not np.isfinite(scores).all():
            raise ValueError(f"the model answers its own sample with {scores}: train a new version")

    def _batch(self, ids: list[Sequence[int]]) -> np.ndarray:
        tensors = self._loaded.task.pad(ids, self._loaded.pad_id)
        feed = {name: tensor for name, tensor in tensors.items() if name in self._inputs}
        logits: np.ndarray = self._loaded.session.run(None, feed)[0]
        return logits
