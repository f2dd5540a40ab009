"""Questions and contexts in, parts of the contexts out: long contexts are read in windows that overlap."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.aligned import aligned
from modelyard_trainer.tasks import texts
from modelyard_trainer.tasks.classes import largest_difference, rounded, softmax
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Packed, Reading, Tensor
from modelyard_trainer.tasks.question_answering.rows import ANSWERS, CONTEXT, QUESTION
from modelyard_trainer.tasks.question_answering.spans import Best, best, lead_of, scores
from modelyard_trainer.tasks.texts import TextReader

KIND = TASKS["question-answering"]
OVERLAP = 3
"""A window shares one token of so many with the one before."""
MOST_WINDOWS = 64
"""Of one context: what stands behind them is not read."""
AT_ONCE = 4096
"""Tokens of all windows of a pass, unless each row has a single one."""
NO_ANSWER: Answer = {"answer": "", "start": 0, "end": 0}
ODD_CONTEXTS = (
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 e\u0301 \ufb01ne \uff21\uff22 \u1112\u1161\u11ab o\u0308\u0323",
    "word " * 3000,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """How a version reads and answers, beside its tokenizer."""

    longest: int
    """Tokens of an answer at most."""
    types: bool
    """Whether the model is told which tokens are the question's and which the context's."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is needed of an instance beside the model's outputs."""

    context: str
    places: np.ndarray
    """Characters of the context, as it came, that each of its tokens was made of; of shape (tokens, 2)."""
    lead: int
    """Tokens before those of the context: the question's, and special ones."""
    trail: int
    """Tokens behind them."""
    room: int
    """Tokens of the context in each window."""
    first: np.ndarray
    """The context's token that each window begins with."""

    def window(self, number: int) -> Kept:
        """One of the windows alone."""
        return replace(self, first=self.first[number : number + 1])


class Answerer:
    """Codec of a model that points at first and last token of an answer.

    An output is logits of shape (windows, 1 + tokens of the context in a window, 2): the first token of a window, which
    stands for no answer, and those of the context.
    """

    keys: tuple[str, ...] = (QUESTION, CONTEXT)
    one_size: int | None = None
    labels: list[str] = []
    tensors: tuple[Tensor, ...] = (
        Tensor("answer", "BYTES"),
        Tensor("start", "INT64"),
        Tensor("end", "INT64"),
        Tensor("score", "FP32"),
    )

    def __init__(self, reader: TextReader, settings: Settings) -> None:
        self.reader = reader
        self.settings = settings
        reader.tokenizer.no_truncation()  # windows are cut here: each has the question whole

    def parse(self, value: Any) -> dict[str, str]:
        """{"question": "...", "context": "..."}; ValueError says what it is instead."""
        return texts.fields(value, self.keys)

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Token ids of the question and the whole context; the windows are made of them in `batch`."""
        asked = [self.parse(value) for value in values]
        contexts = [aligned(one[CONTEXT], self.reader.prepare) for one in asked]
        questions = self.reader.texts([one[QUESTION] for one in asked])
        pairs = list(zip(questions, (context.text for context in contexts), strict=True))
        found = self.reader.tokenizer.encode_batch(pairs)
        return [
            self._reading(one[CONTEXT], context.starts, context.ends, encoding)
            for one, context, encoding in zip(asked, contexts, found, strict=True)
        ]

    def _reading(self, context: str, starts: np.ndarray, ends: np.ndarray, encoding: Any) -> Reading:
        ids: np.ndarray = np.asarray(encoding.ids, dtype=np.int32)
        types: np.ndarray = np.asarray(encoding.type_ids, dtype=np.int32)
        whose: np.ndarray = np.array([-1 if one is None else one for one in encoding.sequence_ids], dtype=np.int64)
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)[whose == 1]
        asked, told = np.flatnonzero(whose == 0), np.flatnonzero(whose == 1)
        dropped = asked[max(1, (self.reader.max_length - len(ids) + len(asked) + len(told)) // 2) :]
        read: np.ndarray = np.delete(np.arange(len(ids)), dropped)
        lead = int(told[0]) - len(dropped) if len(told) else len(read)
        trail = len(read) - lead - len(told)
        inputs = dict[str, np.ndarray](input_ids=ids[read])
        if self.settings.types:
            inputs["token_type_ids"] = types[read]
        kept, cut = self._windows(context, _places(offsets, starts, ends), lead, trail)
        size = lead + kept.room + trail
        return Reading(inputs, size, cut or len(dropped) > 0, kept)

    def _windows(self, context: str, places: np.ndarray, lead: int, trail: int) -> tuple[Kept, bool]:
        """Windows of the same number of tokens, the last one up to the end; and whether that is not read."""
        room = max(1, min(self.reader.max_length - lead - trail, len(places))) if len(places) else 0
        step = max(1, room - room // OVERLAP)
        behind = len(places) - room
        first: np.ndarray = np.minimum(np.arange(0, behind + step, step), behind)
        return Kept(context, places, lead, trail, room, first[:MOST_WINDOWS]), len(first) > MOST_WINDOWS

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids, and the characters of the context's tokens."""
        kept = kept_of(reading)
        return {**reading.inputs, "places": kept.places.reshape(-1), "around": np.array([kept.lead, kept.trail])}

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """With the context, which is not kept twice."""
        inputs = {name: value for name, value in packed.items() if name not in ("places", "around")}
        lead, trail = map(int, packed["around"])
        kept, cut = self._windows(instance()[CONTEXT], packed["places"].reshape(-1, 2), lead, trail)
        return Reading(inputs, lead + kept.room + trail, cut, kept)

    def batch(self, readings: Sequence[Reading]) -> Arrays:
        """int64 arrays of shape (windows of all rows, longest window)."""
        tokens = [(reading.inputs, at) for reading in readings for at in _tokens(kept_of(reading))]
        found = texts.pad([inputs["input_ids"][at] for inputs, at in tokens], self.reader.pad_id)
        if self.settings.types:
            found["token_type_ids"] = texts.pad([inputs["token_type_ids"][at] for inputs, at in tokens], 0)["input_ids"]
        return found

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits of no answer and of the context's tokens, per row and window."""
        ends = np.cumsum([len(kept_of(reading).first) for reading in readings])
        parts = np.split(found["logits"], ends[:-1])
        return [_of_context(part, kept_of(reading)) for part, reading in zip(parts, readings, strict=True)]

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits per row, in as many passes as windows take: a long context needs no more memory than a short one."""
        alone = [
            replace(reading, kept=kept_of(reading).window(number))
            for reading in readings
            for number in range(len(kept_of(reading).first))
        ]
        most = at_once(len(readings), max(reading.size for reading in readings))
        found: list[np.ndarray] = []
        for at in range(0, len(alone), most):
            part = alone[at : at + most]
            found += self.outputs(graphs["model"](self.batch(part)), part)
        rest: Iterator[np.ndarray] = iter(found)
        return [np.concatenate([next(rest) for _ in kept_of(reading).first]) for reading in readings]

    def decode(self, output: np.ndarray, reading: Reading) -> Answer:
        """The answer as the context has it, its characters, and the probability of both ends in its window.

        Without an answer the probability of none, in the window that is least sure of it.
        """
        kept, found = kept_of(reading), best(output, self.settings.longest)
        shares = softmax(output.swapaxes(1, 2))
        start, end = _characters(kept, found) if found.is_answer else (0, 0)
        if start == end:
            return {**NO_ANSWER, "score": float(shares[:, :, 0].prod(axis=1).min())}
        score = shares[found.window, 0, 1 + found.first] * shares[found.window, 1, 1 + found.last]
        return {"answer": kept.context[start:end], "start": start, "end": end, "score": float(score)}

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """answer, start, end and score."""
        types = {"answer": np.object_, "start": np.int64, "end": np.int64, "score": np.float32}
        return {name: np.array([answer[name] for answer in answers], dtype=kind) for name, kind in types.items()}

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """As SQuAD's script counts, over all rows and over those with and without an answer, where there are such."""
        right = [[one["text"] for one in row[ANSWERS]] for row in rows]
        found = np.array([scores(answer["answer"], one) for answer, one in zip(answers, right, strict=True)])
        has: np.ndarray = np.array([bool(one) for one in right])
        values = dict(zip(("f1", "exact_match"), _means(found), strict=True))
        if has.any():
            values |= dict(zip(("answerable_f1", "answerable_exact_match"), _means(found[has]), strict=True))
        if not has.all():
            values["unanswerable_accuracy"] = _means(found[~has])[1]
        return Metrics(set_=TEST, primary=KIND.primary, values=values)

    def difference(self, expected: np.ndarray, found: np.ndarray) -> float:
        """Largest difference of logits."""
        return largest_difference(expected, found)

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both point at the same part, or at one that is ahead by less than `rounding` of four logits."""
        one, other = best(expected, self.settings.longest), best(found, self.settings.longest)
        if one[:3] == other[:3] and one.is_answer == other.is_answer:
            return True
        return abs(lead_of(expected, one) - lead_of(expected, other)) <= 4 * rounding

    def finite(self, answer: Answer) -> bool:
        """Whether the score is a number."""
        return math.isfinite(answer["score"])

    def as_sent(self, instance: Instance) -> Instance:
        """Both texts as people send them."""
        return {key: self.reader.as_sent(instance[key]) for key in self.keys}

    def sample(self, instance: Instance) -> Instance:
        """Both texts, of bounded length."""
        return {key: instance[key][: texts.SAMPLE_CHARACTERS] for key in self.keys}

    def odd(self) -> list[Instance]:
        """Questions and contexts that no row holds but some request will."""
        pairs = [(text, "What for?") for text in (*texts.ODD, *ODD_CONTEXTS)]
        return [dict(zip(self.keys, pair, strict=True)) for one in pairs for pair in (one, one[::-1])]

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """A window as long as the run allows, of a real row's tokens, and a short row."""
        known = sorted(readings, key=lambda reading: reading.size)
        kept, inputs = kept_of(known[-1]), known[-1].inputs
        room = max(1, min(self.reader.max_length, texts.LONGEST_TRIED) - kept.lead - kept.trail)
        behind = len(inputs["input_ids"]) - kept.trail
        stretched = {
            name: np.concatenate([ids[: kept.lead], np.resize(ids[kept.lead : behind], room), ids[behind:]])
            for name, ids in inputs.items()
        }
        places: np.ndarray = np.zeros((room, 2), dtype=np.int64)
        window = Kept(kept.context, places, kept.lead, kept.trail, room, np.zeros(1, dtype=np.int64))
        return [Reading(stretched, kept.lead + room + kept.trail, kept=window), known[0]]

    def save(self, folder: Path) -> dict[str, Any]:
        """The tokenizer's files; how texts are read and answers bounded."""
        own = {"longestAnswer": self.settings.longest, "tokenTypes": self.settings.types}
        return {**self.reader.save(folder), **own}


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Answerer:
    """From a version's folder."""
    own = Settings(settings["longestAnswer"], settings["tokenTypes"])
    return Answerer(TextReader.load(folder, settings), own)


def kept_of(reading: Reading) -> Kept:
    """What a reading of this codec keeps."""
    kept: Kept = reading.kept
    return kept


def at_once(rows: int, size: int) -> int:
    """Windows of a pass, of so many tokens each."""
    return max(rows, AT_ONCE // max(1, size))


def _places(offsets: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Characters of the text as it came, by characters of the prepared one (tokens, 2) and where these come from."""
    if not len(starts):
        return np.zeros((0, 2), dtype=np.int64)
    first, last = (np.clip(at, 0, len(starts) - 1) for at in (offsets[:, 0], offsets[:, 1] - 1))
    found: np.ndarray = np.stack([starts[first], ends[last]], axis=1)
    found[offsets[:, 1] <= offsets[:, 0], 1] = found[offsets[:, 1] <= offsets[:, 0], 0]
    return found


def _tokens(kept: Kept) -> Iterator[np.ndarray]:
    """Numbers of the tokens of each window."""
    before, end = np.arange(kept.lead), kept.lead + len(kept.places)
    behind = np.arange(end, end + kept.trail)
    for first in kept.first + kept.lead:
        yield np.concatenate([before, np.arange(first, first + kept.room), behind])


def _of_context(logits: np.ndarray, kept: Kept) -> np.ndarray:
    found: np.ndarray = np.concatenate([logits[:, :1], logits[:, kept.lead : kept.lead + kept.room]], axis=1)
    return found


def _characters(kept: Kept, found: Best) -> tuple[int, int]:
    """Of the context, without spaces around them."""
    begin = int(kept.first[found.window])
    start, end = int(kept.places[begin + found.first, 0]), int(kept.places[begin + found.last, 1])
    text = kept.context[start:end]
    start += len(text) - len(text.lstrip())
    return start, max(start, start + len(text.strip()))


def _means(found: np.ndarray) -> list[float]:
    return [rounded(float(mean)) for mean in found.mean(axis=0)]
