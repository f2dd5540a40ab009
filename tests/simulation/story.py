"""What happened in a scenario: the last lines are printed when it fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tests.simulation import clock


class Story:
    """A short memory of a scenario, and the promises that were broken in it."""

    def __init__(self, lines: int = 60) -> None:
        self._lines: deque[tuple[float, str, tuple[object, ...]]] = deque(maxlen=lines)
        self.broken: list[str] = []
        self.on_break: Callable[[], object] = lambda: None
        """Called when the first promise is broken."""

    def tell(self, text: str, *details: object) -> None:
        """Remember one line; formatted only if somebody reads it."""
        self._lines.append((clock.seconds(), text, details))

    def breaks(self, promise: str) -> None:
        """A promise is broken: the scenario ends (an exception would be swallowed by the engine)."""
        self.tell("BROKEN: %s", promise)
        if not self.broken:
            self.on_break()
        self.broken.append(promise)

    def __str__(self) -> str:
        return "\n".join(f"{at:9.2f}  {text % details if details else text}" for at, text, details in self._lines)
