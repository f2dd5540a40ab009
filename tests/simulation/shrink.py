"""Shrinking: the fewest fault points that still break the same promise, by delta debugging over their list."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from tests.simulation.playing import Played, play

MOST_SCENARIOS = 400
"""So many tries are made at most."""
WORDS = 5


def shrink(seed: int, most: int = MOST_SCENARIOS) -> Played | None:
    """The scenario with the fewest fault points that breaks its promise, told at length; None if the seed is well."""
    whole = play(seed)
    if not whole.broken:
        return None
    promise = kind_of_promise(whole)

    def breaks(names: Sequence[str]) -> bool:
        played = play(seed, only=names)
        return bool(played.broken) and kind_of_promise(played) == promise

    fewest = minimal(list(whole.struck), breaks, most)
    return play(seed, lines=400, only=fewest)


def kind_of_promise(played: Played) -> str:
    """The first words of what was broken, without names and numbers: another run of the story has others."""
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"\b\S*[\d/]\S*", "", played.broken[0]))
    return " ".join(words[:WORDS])


def minimal(names: list[str], breaks: Callable[[Sequence[str]], bool], most: int = MOST_SCENARIOS) -> list[str]:
    """Zeller's ddmin: no part of the result can be left out alone; what was reached when `most` tries are made."""
    parts, tries = 2, 0
    while names and tries < most:
        size = -(-len(names) // parts)
        rests = [names[:at] + names[at + size :] for at in range(0, len(names), size)]
        shorter = None
        for rest in rests:
            tries += 1
            if breaks(rest):
                shorter = rest
                break
        if shorter is not None:
            names, parts = shorter, max(parts - 1, 2)
        elif size == 1:
            break
        else:
            parts = min(len(names), parts * 2)
    return names


def told(played: Played) -> str:
    """A minimal story and the command that plays it again."""
    only = " ".join(f"'{name}'" for name in played.struck)
    return f"{played}\n\nagain: .venv/bin/python -m tests.simulation {played.seed} --only {only}"
