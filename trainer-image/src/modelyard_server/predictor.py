"""Instances in, answers out: what the server does with a request, without the server.

A run's pod answers its test rows by this code before it publishes, so nothing of KServe may be imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from modelyard_server.load import Loaded
from modelyard_trainer.predict import in_batches
from modelyard_trainer.tasks.protocols import Answer, Output, Reading

BATCH_ROWS = 32


class Left(Exception):
    """Nobody waits for the answer any more."""


def always() -> bool:
    """Whether the answer is wanted: yes."""
    return True


class Predictor:
    """Answers instances in batches of similar size; safe to call from several threads."""

    def __init__(self, loaded: Loaded, batch_rows: int = BATCH_ROWS) -> None:
        self.info = loaded.info
        self.codec = loaded.codec
        self._graphs = loaded.graphs
        self._batch_rows = batch_rows

    def predict(self, instances: Sequence[Any], wanted: Callable[[], bool] = always) -> list[Answer]:
        """One answer per instance, in their order; ValueError for what is none, Left once it is not wanted."""
        return self.answers(self.read(instances), wanted)

    def answers(self, read: Sequence[Reading], wanted: Callable[[], bool] = always) -> list[Answer]:
        """One answer per reading, in their order; Left once it is not wanted."""
        pairs = zip(self.outputs(read, wanted), read, strict=True)
        return [self.codec.decode(output, reading) for output, reading in pairs]

    def read(self, instances: Sequence[Any]) -> list[Reading]:
        """Instances as the model reads them: parsed, prepared as the version's rows were, cut at its length."""
        return self.codec.read(instances)

    def outputs(self, read: Sequence[Reading], wanted: Callable[[], bool] = always) -> list[Output]:
        """Outputs in the order of the rows; asks before each batch whether they are still wanted."""
        return in_batches(self.codec, self._graphs, read, self._batches(read, wanted))

    def _batches(self, read: Sequence[Reading], wanted: Callable[[], bool]) -> Iterator[list[int]]:
        order = sorted(range(len(read)), key=lambda row: read[row].size)
        for start in range(0, len(order), self._batch_rows):
            if not wanted():
                raise Left
            yield order[start : start + self._batch_rows]

    def check(self) -> None:
        """Answer the version's own sample; ValueError if that gives no numbers."""
        answer = self.predict([self.info.sample])[0]
        if not self.codec.finite(answer):
            raise ValueError(f"the model answers its own sample with {answer}: train a new version")
