"""An answer while it is written: which token comes next, and when it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from modelyard_trainer.tasks.decoding import Running, log_shares

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STOP, LENGTH = "stop", "length"
"""Why an answer ended: by itself or at a stop word; or at the number of tokens that it may have."""
HALF = "\ufffd"
"""What a character of which only a part is there decodes to."""
MOST_STOPS, LONGEST_STOP = 4, 200


@dataclass(frozen=True, slots=True)
class Wish:
    """How an answer is to be written; each field as the OpenAI API calls it."""

    max_tokens: int
    temperature: float = 0.0
    """0: the likeliest token each time."""
    top_p: float = 1.0
    top_k: int = 0
    """Tokens that are drawn from; 0: all."""
    seed: int | None = None
    stop: tuple[str, ...] = ()


NUMBERS: dict[str, tuple[type, float, float]] = {
    "max_tokens": (int, 1, 1 << 20),
    "temperature": (float, 0.0, 2.0),
    "top_p": (float, 0.0, 1.0),
    "top_k": (int, 0, 1 << 20),
    "seed": (int, 0, (1 << 63) - 1),
}
"""Type and bounds of each number of a Wish."""


def wish_of(value: dict[str, Any], most: int) -> Wish:
    """What a request wishes, of at most so many tokens; ValueError names the field that is wrong."""
    found = {name: _number(name, value[name]) for name in NUMBERS if value.get(name) is not None}
    stop = value.get("stop") or ()
    stops = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, list | tuple) else (None,)
    if len(stops) > MOST_STOPS or not all(isinstance(one, str) and 0 < len(one) <= LONGEST_STOP for one in stops):
        raise ValueError(f"has a 'stop' that is not a text or a list of at most {MOST_STOPS} texts")
    return Wish(**{**found, "max_tokens": min(found.get("max_tokens", most), most)}, stop=stops)


def _number(name: str, value: Any) -> Any:
    kind, least, most = NUMBERS[name]
    right = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not right or not least <= value <= most:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"has a '{name}' that is not {what} from {least} to {most}")
    return kind(value)


@dataclass(frozen=True, slots=True)
class Generated:
    """What was generated for one row, the token that ends it included."""

    ids: np.ndarray
    scores: np.ndarray
    """Logarithm of each token's probability."""
    leads: np.ndarray
    """By how much it is greater than that of the likeliest other token."""
    text: str
    reason: str
    """stop or length."""


@dataclass(slots=True)
class Draft:
    """The tokens so far."""

    wish: Wish
    tokenizer: Tokenizer
    ends: list[int]
    pad: int
    ids: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    leads: list[float] = field(default_factory=list)
    text: str = ""
    reason: str = ""
    """Empty while the answer goes on."""
    _chance: Any = None

    def take(self, logits: np.ndarray) -> int:
        """The token that follows by these logits of the vocabulary; `reason` is set where it is the last."""
        shares = log_shares(logits.astype(np.float32))
        if self.pad not in self.ends:
            shares[self.pad] = -np.inf
        token = int(shares.argmax()) if self.wish.temperature == 0 else self._drawn(shares)
        score = float(shares[token])
        shares[token] = -np.inf
        self.ids.append(token)
        self.scores.append(score)
        self.leads.append(score - float(shares.max()))
        self._look(token)
        return token

    @property
    def said(self) -> str:
        """The text that will not change any more: no half character, and no beginning of a stop word."""
        if self.reason:
            return self.text
        held = max((_overlap(self.text, stop) for stop in self.wish.stop), default=0)
        return self.text[: len(self.text) - held].rstrip(HALF)

    def done(self) -> Generated:
        """As it is."""
        scores: np.ndarray = np.array(self.scores, dtype=np.float32)
        leads: np.ndarray = np.array(self.leads, dtype=np.float32)
        ids: np.ndarray = np.array(self.ids, dtype=np.int64)
        return Generated(ids, scores, leads, self.text, self.reason or LENGTH)

    def _look(self, token: int) -> None:
        if token in self.ends:
            self.reason = STOP
            return
        self.text = self.tokenizer.decode(self.ids, skip_special_tokens=True)
        at = min((at for stop in self.wish.stop if (at := self.text.find(stop)) >= 0), default=-1)
        if at >= 0:
            self.text, self.reason = self.text[:at], STOP
        elif len(self.ids) >= self.wish.max_tokens:
            self.reason = LENGTH

    def _drawn(self, shares: np.ndarray) -> int:
        """One of the likeliest tokens, by chance: of `top_k`, and of those that have `top_p` of the probability."""
        if self._chance is None:
            self._chance = np.random.default_rng(self.wish.seed)
        count = min(self.wish.top_k or len(shares), len(shares))
        likeliest = np.argpartition(-shares, count - 1)[:count] if count < len(shares) else np.arange(count)
        likeliest = likeliest[np.argsort(-shares[likeliest], kind="stable")]
        chances = np.exp((shares[likeliest] - shares[likeliest[0]]).astype(np.float64) / self.wish.temperature)
        chances /= chances.sum()
        taken = int(np.searchsorted(np.cumsum(chances), self.wish.top_p)) + 1
        chances = chances[:taken] / chances[:taken].sum()
        return int(likeliest[min(int(np.searchsorted(np.cumsum(chances), self._chance.random(), "right")), taken - 1)])


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of the text with which a stop word begins."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


def written(running: Running, prompts: Sequence[Sequence[int]], drafts: Sequence[Draft]) -> list[Generated]:
    """Answers to prompts that are written together, a token each at a step."""
    logits, going = running.add(prompts), list(drafts)
    while going:
        tokens = [draft.take(one) for draft, one in zip(going, logits, strict=True)]
        rows = [row for row, draft in enumerate(going) if not draft.reason]
        running.keep(rows)
        going = [going[row] for row in rows]
        if going:
            logits = running.step([tokens[row] for row in rows])
    return [draft.done() for draft in drafts]
