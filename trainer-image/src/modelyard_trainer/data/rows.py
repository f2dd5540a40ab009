"""A row, when two texts are the same, and the digest of prepared rows."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from modelyard.api.dataset import Clean

SIDES = ("train", "validation", "test")


class Row(NamedTuple):
    """One example; `group` keeps rows together in the split and is not published."""

    text: str
    label: str
    group: str = ""

    def instance(self) -> dict[str, Any]:
        """What a request would hold to ask for this row's class."""
        return {"text": self.text}


Sides = dict[str, list[Row]]
"""Rows of train, validation and test."""


def same_text(text: str) -> str:
    """Equal for texts that differ only in case, spacing or Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def canonical(row: Row) -> bytes:
    """The row's one JSON form."""
    fields = {"label": row.label, "text": row.text}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def in_order(rows: Iterable[Row]) -> list[Row]:
    """Rows in the order of their content's hash, whatever order they came in."""
    return sorted(rows, key=lambda row: (hashlib.sha256(canonical(row)).digest(), row.group))


def digest_of_rows(sides: Sides, prepare: Iterable[Clean]) -> str:
    """sha256:<hex> of the content of all splits, and of how texts of requests are prepared to be like them."""
    sha = hashlib.sha256()
    for step in prepare:
        sha.update(f"{json.dumps(step.dump(), sort_keys=True)}\n".encode())
    for side in SIDES:
        sha.update(f"{side}\n".encode())
        for row in sides[side]:
            sha.update(canonical(row) + b"\n")
    return f"sha256:{sha.hexdigest()}"


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write JSON lines."""
    with path.open("wb") as stream:
        stream.writelines(canonical(row) + b"\n" for row in rows)


def read_rows(path: Path) -> Iterator[Row]:
    """Read JSON lines written by write_rows."""
    with path.open("rb") as stream:
        for line in stream:
            fields = json.loads(line)
            yield Row(fields["text"], fields["label"])
