"""What preparation noticed and a person should know, though it is no fault."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST, PLACES = 10, 3


@dataclass
class Notes:
    """Sentences in the order in which they were noticed; `column` is the one with the class."""

    column: str
    found: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    """Where the first rows without text or class are."""

    def add(self, note: str) -> None:
        """Notice something."""
        self.found.append(note)

    def saw_empty(self, file: str, line: int) -> None:
        """A row has no text or no class."""
        if len(self.empty) < PLACES:
            self.empty.append(f"{file} line {line}")

    def add_empty(self, rows: int) -> None:
        """Say how many rows have no text or no class, and where to look."""
        if self.empty:
            what = "rows have no text or no class and are" if rows > 1 else "row has no text or no class and is"
            more = ", ..." if rows > len(self.empty) else ""
            self.add(f"{rows} {what} left out: {', '.join(self.empty)}{more}")

    def shown(self) -> list[str]:
        """The first few, and how many more there are."""
        more = len(self.found) - MOST
        return self.found[:MOST] + ([f"and {more} more like these"] if more > 0 else [])
