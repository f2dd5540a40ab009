"""Results kept per argument object: what is pure and dear is worked out once for an object that nobody changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])
KEPT = 128
"""Results per function: enough for the reconciles under way, one MB or so."""
BY_IDENTITY = (BaseModel, dict)


def memoize(most: int) -> Callable[[F], F]:
    """Memoize by the identity of the first argument, of models and of dictionaries, and by the value of all others.

    They are values: whoever changes one in place gets the old result. The `most` newest results are kept, exceptions
    are not. One thread only.
    """

    def memoizing(function: F) -> F:
        kept: dict[tuple[Any, ...], tuple[tuple[Any, ...], Any]] = {}

        @wraps(function)
        def ask(*args: Any) -> Any:
            key = (id(args[0]), *[id(arg) if isinstance(arg, BY_IDENTITY) else arg for arg in args[1:]])
            found = kept.get(key)
            if found is None:
                # The arguments are kept too, so that no other object can take their place in memory.
                found = kept[key] = args, function(*args)
                if len(kept) > most:
                    del kept[next(iter(kept))]
            return found[1]

        return cast(F, ask)

    return memoizing


memoized = memoize(KEPT)
