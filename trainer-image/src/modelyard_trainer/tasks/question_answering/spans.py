"""Which part of a text is meant: by logits per token, and by characters; and how two answers are compared."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)


class Best(NamedTuple):
    """The likeliest part of a text, in tokens of a window of it, the last one included."""

    window: int
    first: int
    last: int
    lead: float
    """By how much its logits are greater than those of no answer in its window; below 0 there is no answer."""

    @property
    def is_answer(self) -> bool:
        """Whether there is one."""
        return self.lead > 0


def best(logits: np.ndarray, longest: int) -> Best:
    """Of all parts of at most so many tokens; logits of shape (windows, 1 + tokens, 2) of first and last tokens.

    The first token of a window stands for no answer.
    """
    tokens = logits.shape[1] - 1
    if not tokens:
        return Best(0, 0, 0, -1.0)
    width = min(longest, tokens)
    ends: np.ndarray = np.full((len(logits), tokens + width - 1), -np.inf, dtype=np.float32)
    ends[:, :tokens] = logits[:, 1:, 1]
    sums = logits[:, 1:, 0, None] + np.lib.stride_tricks.sliding_window_view(ends, width, axis=1)
    sums = sums - logits[:, 0].sum(axis=-1)[:, None, None]
    window, first, more = (int(at) for at in np.unravel_index(int(sums.argmax()), sums.shape))
    return Best(window, first, first + more, float(sums[window, first, more]))


def lead_of(logits: np.ndarray, part: Best) -> float:
    """By how much the part is ahead of no answer; no answer itself is ahead by nothing."""
    if not part.is_answer:
        return 0.0
    window = logits[part.window]
    return float(window[1 + part.first, 0] + window[1 + part.last, 1] - window[0].sum())


def tokens_of(places: np.ndarray, start: int, end: int) -> tuple[int, int]:
    """First and last token of these characters; `places` are those of each token, of shape (tokens, 2)."""
    starts, ends = np.maximum.accumulate(places, axis=0).T if len(places) else (places[:, 0], places[:, 1])
    return int(ends.searchsorted(start, side="right")), int(starts.searchsorted(end, side="left")) - 1


def normalized(text: str) -> str:
    """As SQuAD's script compares answers: lower case, without punctuation, articles and more than one space."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def scores(found: str, right: Sequence[str]) -> tuple[float, float]:
    """f1 and exact match, each with the right answer that fits best; no right answer: that none is given."""
    wanted = [text for text in right if normalized(text)] or [""]
    exact = normalized(found) in map(normalized, wanted)
    return max(_f1(found, text) for text in wanted), float(exact)


def _f1(found: str, right: str) -> float:
    one, other = normalized(found).split(), normalized(right).split()
    if not one or not other:
        return float(one == other)
    same = (Counter(one) & Counter(other)).total()
    return 2 * same / (len(one) + len(other))
