"""What killed pods left in the store: removed once, when what they worked for has ended."""

from __future__ import annotations

from modelyard.decision import Fact, Observed

AGAIN = 60.0
"""Seconds after which a store that did not answer is asked again."""


def swept_fact(prefix: str, published: str) -> Fact:
    """An effect that may be repeated: nothing stays below `prefix` but what the manifest in `published` names."""
    return Fact.of("swept", max_age=1.0, prefix=prefix, published=published)


def is_swept(fact: Fact, observed: Observed) -> bool:
    """True once the store said so."""
    answer = observed.fact(fact)
    return answer is not None and answer.value is True


def pause(fact: Fact, observed: Observed) -> float | None:
    """Seconds until a store that was asked in vain is asked again."""
    answer = observed.fact(fact)
    return AGAIN if answer is not None and answer.failed else None
