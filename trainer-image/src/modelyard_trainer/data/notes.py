"""What preparation noticed and a person should know, though it is no fault."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

MOST, PLACES = 10, 3


@dataclass
class Notes:
    """Sentences in the order in which they were noticed; `column` is the one with the class, `name` its task's."""

    column: str
    name: str = "label"
    columns: tuple[str, ...] = ("text", "label")
    """The task's columns; a row that has nothing in one of them is left out."""
    found: list[str] = dataclasses.field(default_factory=list)
    empty: list[str] = dataclasses.field(default_factory=list)
    """Where the first rows that lack something are."""

    @property
    def field(self) -> str:
        """Field of the spec that names the column with the class, and the column."""
        return f"spec.source.columns.{self.name} ('{self.column}')"

    def add(self, note: str) -> None:
        """Notice something."""
        self.found.append(note)

    def saw_empty(self, file: str, line: int) -> None:
        """A row has nothing in a column that the task needs."""
        if len(self.empty) < PLACES:
            self.empty.append(f"{file} line {line}")

    def add_empty(self, rows: int) -> None:
        """Say how many rows lack something, and where to look."""
        if self.empty:
            lack = " or ".join(f"no {'class' if column == 'label' else column}" for column in self.columns) or "nothing"
            what = f"rows have {lack} and are" if rows > 1 else f"row has {lack} and is"
            more = ", ..." if rows > len(self.empty) else ""
            self.add(f"{rows} {what} left out: {', '.join(self.empty)}{more}")

    def shown(self) -> list[str]:
        """The first few, and how many more there are."""
        more = len(self.found) - MOST
        return self.found[:MOST] + ([f"and {more} more like these"] if more > 0 else [])
