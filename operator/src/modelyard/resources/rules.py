"""A reconciler's rules: functions in one ordered list, each of which answers or says by None that it does not apply.

The first line of a rule's docstring says "when -> what"; docs/rules.md is made of the names and these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

C = TypeVar("C")
A = TypeVar("A")


def first(rules: Sequence[Callable[[C], A | None]], case: C) -> A:
    """What the first rule that applies answers; the last one of a list applies to whatever is left."""
    return next(answer for rule in rules if (answer := rule(case)) is not None)
