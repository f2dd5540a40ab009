"""What preparation noticed and a person should know, though it is no fault."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST = 10


@dataclass
class Notes:
    """Sentences in the order in which they were noticed; `column` is the one with the class."""

    column: str
    found: list[str] = field(default_factory=list)

    def add(self, note: str) -> None:
        """Notice something."""
        self.found.append(note)

    def shown(self) -> list[str]:
        """The first few, and how many more there are."""
        more = len(self.found) - MOST
        return self.found[:MOST] + ([f"and {more} more like these"] if more > 0 else [])
