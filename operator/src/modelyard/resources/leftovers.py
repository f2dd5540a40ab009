"""What killed pods left in the store: removed once, when what they worked for has ended."""

from __future__ import annotations

from modelyard.decision import Effect, Observed

AGAIN = 60.0
"""Seconds after which a store that did not do it is asked again."""


def sweep(prefix: str, published: str, epoch: str) -> Effect:
    """Nothing of the `epoch` stays below `prefix` but what the manifest in `published` names."""
    return Effect.of("sweep", prefix=prefix, published=published, epoch=epoch)


def is_swept(effect: Effect, observed: Observed) -> bool:
    """True once the store did so."""
    answer = observed.effects.get(effect)
    return answer is not None and answer.value is True


def pause(effect: Effect, observed: Observed) -> float | None:
    """Seconds until a store that was asked in vain is asked again."""
    answer = observed.effects.get(effect)
    return AGAIN if answer is not None and answer.failed else None
