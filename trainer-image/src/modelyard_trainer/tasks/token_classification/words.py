"""The words of a text, and entities as tags of words (IOB2) and as spans of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import NamedTuple

OUTSIDE = "O"


class Span(NamedTuple):
    """An entity: the words from `start` up to, not including, `end`."""

    start: int
    end: int
    label: str


def words_of(text: str) -> list[tuple[int, int]]:
    """Where each word begins and ends, in characters.

    Words end at spaces and control characters; each punctuation mark and symbol is a word of its own, and so is each
    character of the scripts that put no spaces between words, as far as they are ideographs.
    """
    found: list[tuple[int, int]] = []
    start = None
    for at, character in enumerate(text):
        kind = unicodedata.category(character)
        ends = character.isspace() or kind == "Cc"
        alone = kind[0] in "PS" or _is_ideograph(character)
        if (ends or alone) and start is not None:
            found.append((start, at))
            start = None
        if alone:
            found.append((at, at + 1))
        elif not ends and start is None:
            start = at
    return found if start is None else [*found, (start, len(text))]


def _is_ideograph(character: str) -> bool:
    return character >= "\u2e80" and unicodedata.name(character, "").startswith("CJK")


def fault_of(words: Sequence[str], tags: Sequence[str]) -> str | None:
    """What is wrong with tags as IOB2 of these words; None if nothing is."""
    if len(words) != len(tags):
        return f"there are {len(words)} words and {len(tags)} tags: each word needs one tag"
    before = OUTSIDE
    for number, (word, tag) in enumerate(zip(words, tags, strict=True), 1):
        mark, _, label = tag.partition("-")
        where = f"word {number} ({word[:40]!r}) has the tag {tag[:60]!r}"
        if tag != OUTSIDE and (mark not in ("B", "I") or not label):
            return f"{where}: IOB2 knows O, B-<type> and I-<type> alone; convert tags of other schemes, such as IOBES"
        if mark == "I" and before not in (f"B-{label}", f"I-{label}"):
            return f"{where} after {before!r}: in IOB2 an entity begins with B-{label}; convert tags of the IOB1 scheme"
        before = tag
    return None


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The entities; an I- that goes on with nothing of its type begins one, as conlleval reads it."""
    return list(_spans(tags))


def _spans(tags: Sequence[str]) -> Iterator[Span]:
    start, inside = 0, ""
    for at, tag in enumerate([*tags, OUTSIDE]):
        mark, _, label = tag.partition("-")
        if inside and (mark != "I" or label != inside):
            yield Span(start, at, inside)
            inside = ""
        if label and not inside:
            start, inside = at, label


def tags_of(spans: Sequence[Span], words: int) -> list[str]:
    """IOB2 tags of so many words; spans do not overlap."""
    tags = [OUTSIDE] * words
    for span in spans:
        tags[span.start : span.end] = [f"B-{span.label}", *[f"I-{span.label}"] * (span.end - span.start - 1)]
    return tags
