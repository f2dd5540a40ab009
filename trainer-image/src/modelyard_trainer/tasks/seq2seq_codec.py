"""Texts in, texts out: greedy generation by two graphs, `encoder` and `decoder`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from modelyard.api.modelversion import Metrics
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Packed, Reading, Tensor
from modelyard_trainer.tasks.text_codec import TextCodec
from modelyard_trainer.tasks.texts import TextReader, as_reading


@dataclass(frozen=True, slots=True)
class Ends:
    """How an answer begins and ends, in token ids."""

    start: int
    """What the decoder reads before the first token."""
    last: list[int]
    """Tokens after which an answer is complete."""
    most: int
    """Tokens of an answer at most."""
    first: int | None = None
    """The first token of every answer, if the base has one."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated for one row, the token that ends it included."""

    ids: np.ndarray
    scores: np.ndarray
    """Logarithm of each token's probability."""
    leads: np.ndarray
    """By how much its logarithm is greater than that of the second likeliest token."""


class Rewriter(TextCodec):
    """Codec of an encoder with a decoder; an output is Generated.

    What a task calls its texts, and how they are measured, its own codec says.
    """

    labels: list[str] = []
    tensors: tuple[Tensor, ...] = (Tensor("text", "BYTES"), Tensor("score", "FP32"))
    source: ClassVar[str]
    """Column of the text that is read."""
    target: ClassVar[str]
    """Column of the text that is written."""
    copies: ClassVar[float] = 0.0
    """Share of the training rows that a model from scratch reads as what it should write."""

    def __init__(self, reader: TextReader, ends: Ends, copied: float = 0.0) -> None:
        super().__init__(reader)
        self.ends = ends
        self.copied = copied
        """Share of the training rows that are read as what should be written; of no account after training."""

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any]) -> Self:
        """From a version's folder."""
        return cls(TextReader.load(folder, settings), Ends(**settings["ends"]))

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids of the text that is read and of the one that is written."""
        return {**reading.inputs, "target": np.asarray(self.target_ids(row[self.target]), dtype=np.int32)}

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """From token ids alone; those of the text that is written are kept with it."""
        return replace(as_reading(packed["input_ids"]), kept=packed["target"])

    def target_ids(self, text: str) -> list[int]:
        """Token ids of what is written, ending with a token that ends answers."""
        [(ids, _)] = self.reader.ids([text])
        ids = ids[: self.ends.most]
        return ids if ids[-1:] and ids[-1] in self.ends.last else [*ids[: self.ends.most - 1], self.ends.last[0]]

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[Generated]:
        """One pass gives no answer: `answer` takes several."""
        raise NotImplementedError

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[Generated]:
        """The likeliest token after what is there, until a token that ends the answer."""
        inputs = self.batch(readings)
        hidden, mask = graphs["encoder"](inputs)["hidden"], inputs["attention_mask"]
        rows: np.ndarray = np.arange(len(readings))
        ids: np.ndarray = np.full((len(rows), 1), self.ends.start, dtype=np.int64)
        steps: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        while len(rows) and len(steps) < self.ends.most:
            feed = {"decoder_input_ids": ids, "hidden": hidden, "attention_mask": mask}
            chosen, scores, leads = self._next(graphs["decoder"](feed)["logits"], len(steps))
            steps.append((rows, chosen, scores, leads))
            going = ~np.isin(chosen, self.ends.last)
            rows, hidden, mask = rows[going], hidden[going], mask[going]
            ids = np.concatenate([ids, chosen[:, None]], axis=1)[going]
        return [_of_row(steps, row) for row in range(len(readings))]

    def decode(self, output: Generated, reading: Reading) -> Answer:
        """The text, and the geometric mean of its tokens' probabilities."""
        text = self.reader.tokenizer.decode(output.ids.tolist(), skip_special_tokens=True)
        return {"text": text.strip(), "score": float(np.exp(output.scores.mean())) if len(output.scores) else 1.0}

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """Text and score."""
        return {
            "text": np.array([answer["text"] for answer in answers], dtype=np.object_),
            "score": np.array([answer["score"] for answer in answers], dtype=np.float32),
        }

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """By the metrics of the task."""
        raise NotImplementedError

    def difference(self, expected: Generated, found: Generated) -> float:
        """Largest difference of the logarithms of tokens' probabilities, as far as the tokens are the same."""
        alike = self._alike(expected, found)
        return float(np.abs(expected.scores[:alike] - found.scores[:alike]).max(initial=0.0))

    def same_answer(self, expected: Generated, found: Generated, rounding: float) -> bool:
        """Whether all tokens are the same, up to one that was ahead of another by `rounding` at most."""
        alike = self._alike(expected, found)
        if alike == len(expected.ids) == len(found.ids):
            return True
        return bool(alike < len(expected.leads) and expected.leads[alike] <= rounding)

    def finite(self, answer: Answer) -> bool:
        """Whether the score is a number."""
        return math.isfinite(answer["score"])

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer's files; how texts are read, and how answers begin and end."""
        return {**super().save(folder), "ends": asdict(self.ends)}

    def _next(self, logits: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Per row (rows, tokens) the token that follows, the logarithm of its probability, and its lead."""
        shares = logits - logits.max(axis=-1, keepdims=True)
        shares = shares - np.log(np.exp(shares).sum(axis=-1, keepdims=True))
        if self.reader.pad_id not in self.ends.last:
            shares[:, self.reader.pad_id] = -np.inf
        chosen = shares.argmax(axis=-1)
        if step == 0 and self.ends.first is not None:
            chosen = np.full_like(chosen, self.ends.first)
        scores = np.take_along_axis(shares, chosen[:, None], axis=-1)[:, 0]
        second = np.partition(shares, -2, axis=-1)[:, -2]
        return chosen, scores, scores - second

    @staticmethod
    def _alike(expected: Generated, found: Generated) -> int:
        """Tokens at the start that are the same."""
        both = min(len(expected.ids), len(found.ids))
        other = np.flatnonzero(expected.ids[:both] != found.ids[:both])
        return int(other[0]) if len(other) else both


def _of_row(steps: Sequence[tuple[np.ndarray, ...]], row: int) -> Generated:
    found = [(int(at[0]), step) for step in steps if len(at := np.flatnonzero(step[0] == row))]
    ids: np.ndarray = np.array([step[1][at] for at, step in found], dtype=np.int64)
    scores: np.ndarray = np.array([step[2][at] for at, step in found], dtype=np.float32)
    leads: np.ndarray = np.array([step[3][at] for at, step in found], dtype=np.float32)
    return Generated(ids, scores, leads)
