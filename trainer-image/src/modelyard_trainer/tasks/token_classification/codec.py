"""Words in, entities out."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.tasks import texts
from modelyard_trainer.tasks.classes import largest_difference, metrics_of, ratio, rounded, softmax
from modelyard_trainer.tasks.protocols import Answer, Arrays, Fields, Graph, Instance, Packed, Reading, Tensor
from modelyard_trainer.tasks.texts import TextReader, as_reading
from modelyard_trainer.tasks.token_classification.words import OUTSIDE, Span, spans_of, tags_of, words_of

KIND = TASKS["token-classification"]
MOST_WORDS = 500
"""Words of a sample."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One instance: its words, and the text with the places of its words if it was given as a text."""

    words: list[str]
    text: str | None = None
    places: list[tuple[int, int]] | None = None

    def entity(self, span: Span, score: float) -> dict[str, Any]:
        """The entity at a span of words, counted in characters of the text, or in words where these were given."""
        if self.text is None or self.places is None:
            start, end, found = span.start, span.end, " ".join(self.words[span.start : span.end])
        else:
            start, end = self.places[span.start][0], self.places[span.end - 1][1]
            found = self.text[start:end]
        return {"start": start, "end": end, "label": span.label, "score": score, "text": found}


@dataclass(frozen=True, slots=True)
class Kept:
    """What is needed of an instance beside the model's outputs."""

    asked: Asked
    first: np.ndarray
    """Token that each word begins with; -1 for words that the model does not read."""

    @property
    def read(self) -> np.ndarray:
        """Numbers of the words that the model reads."""
        return np.flatnonzero(self.first >= 0)


class Tagger:
    """Codec of a model that tags words; an output is logits of shape (words that are read, tags)."""

    keys: tuple[str, ...] = (texts.KEY,)
    one_size: int | None = None
    tensors: tuple[Tensor, ...] = (Tensor("entities", "BYTES"), Tensor("score", "FP32"))

    def __init__(self, reader: TextReader, labels: list[str]) -> None:
        self.reader = reader
        self.labels = labels
        self.number = {label: index for index, label in enumerate(labels)}
        self.batch, self.save = reader.batch, reader.save

    def parse(self, value: Any) -> Asked:
        """{"text": "..."} or {"text": [words]}, or the value alone; ValueError says what it is instead.

        The value alone may be a text, or JSON of a list of words: so the V2 protocol, which has bytes only, gives both.
        """
        value = value.get(texts.KEY) if isinstance(value, dict) and texts.KEY in value else _words_in(value)
        if isinstance(value, list):
            return Asked([texts.parse(word) for word in value])
        text = texts.parse(value)
        places = words_of(text)
        return Asked([text[start:end] for start, end in places], text, places)

    def read(self, values: Sequence[Any]) -> list[Reading]:
        """Token ids of the words with spaces between them, and the token that each begins with."""
        asked = [self.parse(value) for value in values]
        words = [[prepared(word, self.reader.prepare) for word in one.words] for one in asked]
        found = self.reader.tokenizer.encode_batch([" ".join(one) for one in words])
        return [_reading(*row) for row in zip(asked, words, found, strict=True)]

    def packed(self, reading: Reading, row: Fields) -> Packed:
        """Token ids, and the token that each word begins with."""
        return {**reading.inputs, "first": _kept(reading).first}

    def unpacked(self, packed: Packed, instance: Callable[[], Instance]) -> Reading:
        """With the words, which are not kept twice."""
        return replace(as_reading(packed["input_ids"]), kept=Kept(self.parse(instance()), packed["first"]))

    def outputs(self, found: Arrays, readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits at the first token of each word that is read."""
        kept = map(_kept, readings)
        return [row[one.first[one.read]] for row, one in zip(found["logits"], kept, strict=True)]

    def answer(self, graphs: Mapping[str, Graph], readings: Sequence[Reading]) -> list[np.ndarray]:
        """Logits per row."""
        return self.outputs(graphs["model"](self.batch(readings)), readings)

    def decode(self, output: np.ndarray, reading: Reading) -> Answer:
        """Entities in their order, and a score: how sure the least sure tag is. Words that are not read are outside."""
        kept = _kept(reading)
        shares = softmax(output)
        tags, sure = [OUTSIDE] * len(kept.first), np.ones(len(kept.first))
        for word, best, share in zip(kept.read, shares.argmax(axis=-1), shares.max(axis=-1), strict=True):
            tags[word], sure[word] = self.labels[best], share
        entities = [kept.asked.entity(span, float(sure[span.start : span.end].mean())) for span in spans_of(tags)]
        return {"entities": entities, "score": float(sure.min(initial=1.0))}

    def values(self, answers: Sequence[Answer]) -> Arrays:
        """entities, as JSON per row, and score."""
        entities = [json.dumps(answer["entities"], ensure_ascii=False) for answer in answers]
        return {
            "entities": np.array(entities, dtype=np.object_),
            "score": np.array([answer["score"] for answer in answers], dtype=np.float32),
        }

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """Entities that are found exactly, by type and over all, and the share of words with the right tag."""
        return measured(answers, rows)

    def difference(self, expected: np.ndarray, found: np.ndarray) -> float:
        """Largest difference of logits."""
        return largest_difference(expected, found)

    def same_answer(self, expected: np.ndarray, found: np.ndarray, rounding: float) -> bool:
        """Whether both give each word the same tag; two likeliest tags closer than `rounding` may fall either way."""
        ordered = np.sort(expected, axis=-1)
        sure = ordered[:, -1] - ordered[:, -2] > rounding
        return bool((expected.argmax(axis=-1) == found.argmax(axis=-1))[sure].all())

    def finite(self, answer: Answer) -> bool:
        """Whether all scores are numbers."""
        return math.isfinite(answer["score"]) and all(math.isfinite(found["score"]) for found in answer["entities"])

    def as_sent(self, instance: Instance) -> Instance:
        """Words as people send them."""
        return {texts.KEY: [self.reader.as_sent(word) for word in self.parse(instance).words]}

    def sample(self, instance: Instance) -> Instance:
        """Words, of bounded number and length."""
        words = [word[: texts.SAMPLE_CHARACTERS // 10] for word in self.parse(instance).words]
        return {texts.KEY: words[:MOST_WORDS]}

    def odd(self) -> list[Instance]:
        """Texts and words that no row holds but some request will."""
        lists: tuple[list[str], ...] = ([], [""], ["", "\u200b", " "], ["two words", "\n"], ["a"] * 10_000)
        return [{texts.KEY: text} for text in texts.ODD] + [{texts.KEY: words} for words in lists]

    def extremes(self, readings: Sequence[Reading]) -> list[Reading]:
        """The longest row that is possible and a short one."""
        shortest = min(readings, key=lambda reading: reading.size)
        longest = max(readings, key=lambda reading: reading.size)
        stretched = self.reader.extremes(readings)[0]
        return [Reading(stretched.inputs, stretched.size, kept=longest.kept), shortest]


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Tagger:
    """From a version's folder."""
    return Tagger(TextReader.load(folder, settings), labels)


def measured(answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
    """Exact entities, as conlleval counts them; the answers are to the rows' words."""
    hits, predicted, true = Counter[str](), Counter[str](), Counter[str]()
    right = words = 0
    for answer, row in zip(answers, rows, strict=True):
        found = [Span(one["start"], one["end"], one["label"]) for one in answer["entities"]]
        wanted = spans_of(row["tags"])
        predicted.update(span.label for span in found)
        true.update(span.label for span in wanted)
        hits.update(span.label for span in set(found) & set(wanted))
        right += sum(map(str.__eq__, tags_of(found, len(row["tags"])), row["tags"]))
        words += len(row["tags"])
    types = {label: metrics_of(hits[label], predicted[label], true[label]) for label in sorted(predicted | true)}
    return Metrics(
        set_=TEST,
        primary=KIND.primary,
        values={
            "micro_f1": metrics_of(hits.total(), predicted.total(), true.total())["f1"],
            "macro_f1": rounded(sum(found["f1"] for found in types.values()) / max(len(types), 1)),
            "accuracy": rounded(ratio(right, words)),
        },
        per_class=types,
    )


def _words_in(value: Any) -> Any:
    """The list of words that a text or bytes spell as JSON; anything else as it is."""
    if isinstance(value, str | bytes) and value[:1] in ("[", b"["):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return value
        if isinstance(found, list) and all(isinstance(word, str) for word in found):
            return found
    return value


def _kept(reading: Reading) -> Kept:
    kept: Kept = reading.kept
    return kept


def _reading(asked: Asked, words: Sequence[str], encoding: Any) -> Reading:
    ids: np.ndarray = np.asarray(encoding.ids, dtype=np.int32)
    first = _first_tokens(words, encoding.offsets)
    return Reading({"input_ids": ids}, len(ids), bool(encoding.overflowing), Kept(asked, first))


def _first_tokens(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """The token that each of the words begins with, by the places of tokens in the words with spaces between them."""
    spans: np.ndarray = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    tokens: np.ndarray = np.flatnonzero(spans[:, 1] > spans[:, 0])
    starts: np.ndarray = np.array([0, *accumulate(len(word) + 1 for word in words)][:-1], dtype=np.int64)
    place: np.ndarray = spans[tokens, 1].searchsorted(starts, side="right")
    there: np.ndarray = place < len(tokens)
    first: np.ndarray = np.full(len(words), -1, dtype=np.int64)
    token: np.ndarray = tokens[place[there]]
    ends: np.ndarray = starts + [len(word) for word in words]
    inside: np.ndarray = spans[token, 0] < ends[there]
    first[np.flatnonzero(there)[inside]] = token[inside]
    return first
