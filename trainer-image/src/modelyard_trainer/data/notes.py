"""What preparation noticed and a person should know, though it is no fault."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

MOST, PLACES = 10, 3
EMPTY = "empty"
WHY = {
    "misplaced": ("has an answer that its context does not hold", "have answers that their contexts do not hold"),
    "unanswered": ("has no answer", "have no answer"),
    "misordered": (
        "has roles other than user and assistant in turn, after system if there is one,",
        "have roles other than user and assistant in turn, after system if there is one,",
    ),
}
"""Reasons that are the row's own, beside being empty: of one row, and of several."""


@dataclass
class Notes:
    """Sentences in the order in which they were noticed; `column` is the one with the class, `name` its task's."""

    column: str
    name: str = "label"
    columns: tuple[str, ...] = ("text", "label")
    """The task's columns; a row that has nothing in one of them is left out."""
    found: list[str] = dataclasses.field(default_factory=list)
    left_out: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Where the first rows of each reason are."""

    @property
    def field(self) -> str:
        """Field of the spec that names the column with the class, and the column."""
        return f"spec.source.columns.{self.name} ('{self.column}')"

    def add(self, note: str) -> None:
        """Notice something."""
        self.found.append(note)

    def saw(self, reason: str, file: str, line: int) -> None:
        """A row is left out."""
        places = self.left_out.setdefault(reason, [])
        if len(places) < PLACES:
            places.append(f"{file} line {line}")

    def add_left_out(self, removed: Mapping[str, int]) -> None:
        """Say how many rows are left out for each reason, and where to look."""
        for reason, places in sorted(self.left_out.items()):
            rows = removed[reason]
            what = f"{rows} rows {self._why(reason, True)} and are" if rows > 1 else f"1 row {self._why(reason)} and is"
            more = ", ..." if rows > len(places) else ""
            self.add(f"{what} left out: {', '.join(places)}{more}")

    def _why(self, reason: str, several: bool = False) -> str:
        if reason != EMPTY:
            return WHY[reason][several]
        lack = " or ".join(f"no {'class' if column == 'label' else column}" for column in self.columns) or "nothing"
        return f"{'have' if several else 'has'} {lack}"

    def shown(self) -> list[str]:
        """The first few, and how many more there are."""
        more = len(self.found) - MOST
        return self.found[:MOST] + ([f"and {more} more like these"] if more > 0 else [])
