"""Passes through a decoder with what it remembers of earlier tokens: how likely a text is, and the one that follows.

The graph takes input_ids, attention_mask (of what is remembered, too), position_ids, logits_to_keep (the places of this
pass whose logits are wanted) and past_key_values.*; it gives logits and present.*. Nothing remembered is a length of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelyard_trainer.tasks.protocols import Arrays, Graph

NUMBERS = 1 << 25
"""Logits that are computed at once, about: 128 MiB, which are held some times over."""
PAST, PRESENT = "past_key_values", "present"


@dataclass(frozen=True)
class Memory:
    """Shape of what a decoder remembers of a token."""

    layers: int
    heads: int
    width: int

    @property
    def names(self) -> list[str]:
        """Of the arrays, without what is before them."""
        return [f"{layer}.{kind}" for layer in range(self.layers) for kind in ("key", "value")]

    def empty(self, rows: int) -> Arrays:
        """Of nothing yet."""
        nothing: np.ndarray = np.zeros((rows, self.heads, 0, self.width), dtype=np.float32)
        return {f"{PAST}.{name}": nothing for name in self.names}


@dataclass(frozen=True, slots=True)
class Scored:
    """How likely the learned tokens of a row are, each after the right ones before it."""

    scores: np.ndarray
    """Logarithm of each token's probability."""
    leads: np.ndarray
    """By how much it is greater than that of the likeliest other token; below 0 where another is likelier."""


def log_shares(logits: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities along the last axis."""
    shares = logits - logits.max(axis=-1, keepdims=True)
    found: np.ndarray = shares - np.log(np.exp(shares).sum(axis=-1, keepdims=True))
    return found


def judged(logits: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score and lead of one token per distribution (last axis of logits)."""
    shares = log_shares(logits)
    scores = np.take_along_axis(shares, tokens[..., None], axis=-1)
    np.put_along_axis(shares, tokens[..., None], -np.inf, axis=-1)
    return scores[..., 0], (scores - shares.max(axis=-1, keepdims=True))[..., 0]


def remembered(found: Arrays) -> Arrays:
    """What the next pass is given of this one."""
    return {PAST + name.removeprefix(PRESENT): value for name, value in found.items() if name.startswith(PRESENT)}


def positions(mask: np.ndarray) -> np.ndarray:
    """Of each token among those that count."""
    found: np.ndarray = np.clip(mask.cumsum(axis=1) - 1, 0, None)
    return found


def scored(graph: Graph, memory: Memory, inputs: Arrays, learned: Sequence[np.ndarray], size: int) -> list[Scored]:
    """Scores of the learned tokens of rows that are padded at their end; `size` is that of the vocabulary.

    In two passes at least, so that what is remembered is tried, and in as many as memory for logits asks for.
    """
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    rows, width = ids.shape
    wanted: np.ndarray = np.zeros(ids.shape, dtype=bool)
    for row, one in zip(wanted, learned, strict=True):
        row[: len(one)] = one > 0
    places, past = positions(mask), memory.empty(rows)
    scores: np.ndarray = np.zeros(ids.shape, dtype=np.float32)
    leads: np.ndarray = np.zeros(ids.shape, dtype=np.float32)
    step = max(1, min((width + 1) // 2, NUMBERS // (rows * size)))
    for start in range(0, width - 1, step):
        stop = min(start + step, width - 1)
        keep = np.flatnonzero(wanted[:, start + 1 : stop + 1].any(axis=0))
        feed = {
            "input_ids": ids[:, start:stop],
            "attention_mask": mask[:, :stop],
            "position_ids": places[:, start:stop],
            "logits_to_keep": keep if len(keep) else np.zeros(1, dtype=np.int64),
        }
        found = graph({**feed, **past})
        past = remembered(found)
        if len(keep):
            at: np.ndarray = start + 1 + keep
            scores[:, at], leads[:, at] = judged(found["logits"], ids[:, at])
    return [Scored(scores[row][wanted[row]], leads[row][wanted[row]]) for row in range(rows)]


class Running:
    """Texts that go on together, a token each at a step; rows join and leave between steps."""

    def __init__(self, graph: Graph, memory: Memory, pad: int) -> None:
        self._graph, self._memory, self._pad = graph, memory, pad
        self._past: Arrays = memory.empty(0)
        self._mask: np.ndarray = np.zeros((0, 0), dtype=np.int64)

    def __len__(self) -> int:
        return len(self._mask)

    def add(self, prompts: Sequence[Sequence[int]]) -> np.ndarray:
        """Rows join behind those that are there; logits (rows, vocabulary) of what follows their prompts."""
        width = max(map(len, prompts))
        ids: np.ndarray = np.full((len(prompts), width), self._pad, dtype=np.int64)
        mask: np.ndarray = np.zeros(ids.shape, dtype=np.int64)
        for number, prompt in enumerate(prompts):
            ids[number, width - len(prompt) :], mask[number, width - len(prompt) :] = prompt, 1
        found = self._pass(ids, mask, positions(mask), self._memory.empty(len(prompts)))
        self._join(mask, remembered(found))
        logits: np.ndarray = found["logits"][:, -1]
        return logits

    def step(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """Every row goes on by a token; logits (rows, vocabulary) of what follows it."""
        ids: np.ndarray = np.asarray(tokens, dtype=np.int64)[:, None]
        self._mask = np.concatenate([self._mask, np.ones_like(ids)], axis=1)
        found = self._pass(ids, self._mask, positions(self._mask)[:, -1:], self._past)
        self._past = remembered(found)
        logits: np.ndarray = found["logits"][:, -1]
        return logits

    def keep(self, rows: Sequence[int] | np.ndarray) -> None:
        """Only these rows stay, and of what is before the longest of them nothing."""
        if len(rows) == len(self):
            return
        self._mask = self._mask[rows]
        start = int(self._mask.argmax(axis=1).min()) if len(rows) else self._mask.shape[1]
        self._mask = self._mask[:, start:]
        self._past = {name: one[rows, :, start:] for name, one in self._past.items()}

    def _pass(self, ids: np.ndarray, mask: np.ndarray, places: np.ndarray, past: Arrays) -> Arrays:
        feed = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
        return self._graph({**feed, "logits_to_keep": np.array([ids.shape[1] - 1]), **past})

    def _join(self, mask: np.ndarray, past: Arrays) -> None:
        if not len(self):
            self._mask, self._past = mask, past
            return
        width = max(self._mask.shape[1], mask.shape[1])
        self._mask = np.concatenate([_widened(self._mask, width, 1), _widened(mask, width, 1)])
        self._past = {
            name: np.concatenate([_widened(one, width, 2), _widened(past[name], width, 2)])
            for name, one in self._past.items()
        }


def _widened(array: np.ndarray, width: int, axis: int) -> np.ndarray:
    """Zeros before what is there, so that an axis is so long."""
    before = [(0, 0)] * array.ndim
    before[axis] = (width - array.shape[axis], 0)
    found: np.ndarray = np.pad(array, before)
    return found
