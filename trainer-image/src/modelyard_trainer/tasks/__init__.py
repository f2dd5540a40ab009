"""What a model is for: one file per task, shared by trainer and server so that encode and decode cannot drift apart.

Nothing here imports torch or transformers at module level.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from modelyard.api.dataset import Clean
from modelyard.api.modelversion import Metrics
from modelyard_trainer.tasks import text_classification

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Tokenizer


class TaskModule(Protocol):
    """What every file of this folder offers."""

    ADAPTER_TASK: str

    def parse(self, instance: Any) -> str:
        """The text of one instance of a request; ValueError says what it is instead."""

    def texts_of(self, instances: Sequence[Any], prepare: Sequence[Clean]) -> list[str]:
        """The texts that the tokenizer gets, of rows and of requests."""

    def load_tokenizer(self, folder: Path, max_length: int) -> Tokenizer:
        """The folder's tokenizer, cutting at max_length tokens."""

    def token_ids(self, tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
        """Token ids per text, without padding."""

    def readings(self, tokenizer: Tokenizer, texts: list[str]) -> list[text_classification.Reading]:
        """Token ids per text as above, and whether it was cut."""

    def pad(self, rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, np.ndarray]:
        """Model inputs of shape (rows, longest row)."""

    def encode(self, tokenizer: Tokenizer, texts: list[str]) -> dict[str, np.ndarray]:
        """Model inputs for texts."""

    def decode(self, logits: np.ndarray, labels: list[str]) -> list[text_classification.Prediction]:
        """Predictions from logits (rows, classes)."""

    def labels_of(self, values: list[str]) -> list[str]:
        """Classes in the order of the model's outputs."""

    def measure(self, logits: np.ndarray, truth: list[int], labels: list[str]) -> Metrics:
        """Quality of logits against class numbers, by the metrics of the task, as of the test rows."""

    def check_kind(self, config: Any) -> None:
        """Refuse a base of a kind that cannot be adapted to the task."""

    def load_model(self, folder: Path, labels: list[str], pad_id: int) -> tuple[Any, list[str]]:
        """A torch model and the names of weights that start untrained."""


TASKS: dict[str, TaskModule] = {"text-classification": text_classification}


def task_named(name: str) -> TaskModule:
    """The task; the API allows only names of this table."""
    return TASKS[name]
