"""ROUGE of Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", ACL workshop 2004, as F1 of one row.

For texts in ASCII the figures are those of the package rouge-score without its stemmer. That one drops other letters;
here words are of any script, and each character counts alone where a script has no spaces between words.
"""

from __future__ import annotations

import re
from collections import Counter

from modelyard_trainer.tasks.classes import ratio
from modelyard_trainer.tasks.texts import UNSPACED

WORD = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+")


def rouge(found: str, wanted: str) -> dict[str, float]:
    """rouge1 and rouge2 by words and pairs of words in common, rougeL by the longest common sequence of words."""
    ours, theirs = words(found), words(wanted)
    counts = {f"rouge{size}": _overlap(_groups(ours, size), _groups(theirs, size)) for size in (1, 2)}
    return {**counts, "rougeL": ratio(2 * _longest(ours, theirs), len(ours) + len(theirs))}


def words(text: str) -> list[str]:
    """Words in lower case."""
    return WORD.findall(text.lower())


def _groups(found: list[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(found[at:] for at in range(size)), strict=False))


def _overlap(ours: Counter[tuple[str, ...]], theirs: Counter[tuple[str, ...]]) -> float:
    return ratio(2 * (ours & theirs).total(), ours.total() + theirs.total())


def _longest(ours: list[str], theirs: list[str]) -> int:
    """Words of the longest sequence that both have in this order, not necessarily side by side."""
    row = [0] * (len(theirs) + 1)
    for word in ours:
        before = row
        row = [0]
        for at, other in enumerate(theirs):
            row.append(before[at] + 1 if word == other else max(before[at + 1], row[at]))
    return row[-1]
