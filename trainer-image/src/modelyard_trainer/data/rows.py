"""Splits, when two texts are the same, and the one form of a row that its digest reads."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from modelyard.api.dataset import Clean

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import Fields

SPLITS = ("train", "validation", "test")


class Record(NamedTuple):
    """A row on its way through the steps, with what is not published."""

    row: Fields
    group: str = ""
    """What the row holds in the column that decides its split: rows of one group stay together, or split, or time."""
    key: bytes = b""
    """sha256 of what the row asks the model; empty while no step has needed it."""
    share: float = 0.0
    """Where in [0, 1) the split's hash puts what the row asks."""
    split: str = ""


def same_text(text: str) -> str:
    """Equal for texts that differ only in case, spacing or Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _named(value: bytes) -> dict[str, str]:
    return {"sha256": hashlib.sha256(value).hexdigest()}


_FORM = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_named)


def canonical(row: Fields) -> bytes:
    """The row's one JSON form, in which bytes stand as their sha256."""
    return _FORM.encode(row).encode()


class Digest:
    """sha256:<hex> of the content of all splits, and of how texts of requests are prepared to be like them.

    Rows of different splits may come in any mixture; those of one split in its order.
    """

    def __init__(self, prepare: Iterable[Clean]) -> None:
        self._prepare = [json.dumps(step.dump(), sort_keys=True) for step in prepare]
        self._rows = {split: hashlib.sha256() for split in SPLITS}

    def add(self, split: str, rows: Iterable[Fields]) -> None:
        """The next rows of a split."""
        self._rows[split].update(b"".join(canonical(row) + b"\n" for row in rows))

    def __str__(self) -> str:
        lines = [*self._prepare, *(f"{split} {sha.hexdigest()}" for split, sha in self._rows.items())]
        return "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
