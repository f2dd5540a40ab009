"""A text as it is prepared, and where each of its characters was in the text as it came."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Literal

import numpy as np

from modelyard.api.dataset import Clean

Form = Literal["NFC", "NFKC"]
HANGUL = range(0x1161, 0x11C3)
"""Vowels and final consonants, which join a syllable by a rule and stand in no table."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A prepared text; character `number` of it was made of the characters [starts[number], ends[number])."""

    text: str
    starts: np.ndarray
    ends: np.ndarray

    def found(self, start: int, end: int) -> tuple[int, int]:
        """Characters of the prepared text that were made of these of the text that came; none: start and end alike."""
        first = int(self.ends.searchsorted(start, side="right"))
        return first, max(first, int(self.starts.searchsorted(end, side="left")))


def aligned(text: str, steps: Sequence[Clean]) -> Aligned:
    """The same text as `clean.prepared` gives, and where its characters come from."""
    starts: np.ndarray = np.arange(len(text))
    ends: np.ndarray = starts + 1
    for step in steps:
        made, sizes, lengths = _normal(text, step)
        if sizes is not None and lengths is not None:
            stops = np.cumsum(sizes)
            starts = np.repeat(starts[stops - sizes], lengths)
            ends = np.repeat(ends[stops - 1], lengths)
        kept = made.lstrip()
        skipped = len(made) - len(kept)
        text = kept.rstrip()
        starts, ends = starts[skipped : skipped + len(text)], ends[skipped : skipped + len(text)]
    return Aligned(text, starts, ends)


def _normal(text: str, step: Clean) -> tuple[str, np.ndarray | None, np.ndarray | None]:
    """The text in the step's form, not stripped; where that changes it, characters of each part before and after."""
    if step.normalize == "none":
        return text, None, None
    form: Form = "NFC" if step.normalize == "nfc" else "NFKC"
    if unicodedata.is_normalized(form, text):
        return text, None, None
    parts = list(_parts(text))
    made = [unicodedata.normalize(form, part) for part in parts]
    return "".join(made), np.array([*map(len, parts)], dtype=np.int64), np.array([*map(len, made)], dtype=np.int64)


def _parts(text: str) -> Iterator[str]:
    """The smallest parts that are normalised alike alone and together."""
    start = 0
    for at in range(1, len(text)):
        if text[at] < "\u0300" or _begins(text[at]):
            yield text[start:at]
            start = at
    yield text[start:]


@lru_cache(1 << 16)
def _begins(character: str) -> bool:
    """Whether it never joins the character before it, nor changes places with it."""
    first = unicodedata.normalize("NFKD", character)[:1]
    return not (unicodedata.combining(first) or ord(first) in HANGUL or first in _joining())


@cache
def _joining() -> frozenset[str]:
    """Characters that some composition has in second place."""
    pairs = (unicodedata.decomposition(chr(code)).split() for code in range(0x110000))
    return frozenset(chr(int(pair[1], 16)) for pair in pairs if len(pair) == 2 and not pair[0].startswith("<"))
