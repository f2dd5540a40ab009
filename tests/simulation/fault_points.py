"""Fault points: whatever happens by chance has a name; what harms is noted down under it and can be left out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b


class FaultPoints:
    """All fault points of one scenario, drawn from its seed and a name, so never from the order of events."""

    def __init__(self, seed: int, only: Iterable[str] | None = None) -> None:
        self.seed = seed
        self._only = None if only is None else frozenset(only)
        self._turns: Counter[str] = Counter()
        self.struck: dict[str, None] = {}
        """Names of what came true, in order; a scenario that is given some of them as `only` meets no others."""

    def rng(self, *about: object) -> random.Random:
        """Randomness of its own for everything that has a name."""
        return random.Random("/".join(map(str, (self.seed, *about))))

    def strikes(self, probability: float, *about: object) -> bool:
        """True when the next chance of this name comes true."""
        if probability <= 0.0:
            return False
        name = "/".join(map(str, about))
        self._turns[name] += 1
        name = f"{name}/{self._turns[name]}"
        return self._share(name) < probability and self.comes_true(name)

    def comes_true(self, name: str) -> bool:
        """Note down what happens by a name of its own, unless it is left out."""
        if self._only is not None and name not in self._only:
            return False
        self.struck[name] = None
        return True

    def _share(self, name: str) -> float:
        """Between 0 and 1, the same for the same seed and name."""
        digest = blake2b(f"{self.seed}/{name}".encode(), digest_size=4).digest()
        return int.from_bytes(digest) / 2**32
