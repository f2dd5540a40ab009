"""Results kept per argument object: what is pure and dear is worked out once for an object that nobody changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
KEPT = 512
"""Results per function: enough for the passes under way, a few MB at most."""


class _Same:
    """An argument by identity; holds it, so that no other object can take its place in memory."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


def remembered(function: F) -> F:
    """Remember by the identity of the first argument and the values of the others; exceptions are not kept.

    The first argument is a value: whoever changes it in place gets the old result.
    """

    @lru_cache(maxsize=KEPT)
    def kept(first: _Same, *rest: Any) -> Any:
        return function(first.value, *rest)

    @wraps(function)
    def ask(first: Any, *rest: Any) -> Any:
        return kept(_Same(first), *rest)

    return cast(F, ask)
