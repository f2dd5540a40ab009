"""Step clean: normalises rows, drops those that are too short; a request's text is prepared by the same function."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from modelyard.api.dataset import Clean
from modelyard_trainer.data.rows import Record

if TYPE_CHECKING:
    from modelyard_trainer.tasks.protocols import RowKind


def clean(records: Iterable[Record], kind: RowKind, step: Clean, removed: Counter[str]) -> Iterator[Record]:
    """Clean rows; the others are counted by why they are removed (empty, short)."""
    for record in records:
        row = kind.cleaned(record.row, step)
        if isinstance(row, str):
            removed[row] += 1
        else:
            yield Record(row, record.group)


def prepared(text: str, steps: Sequence[Clean]) -> str:
    """A text as the tokenizer gets it, of a row or of a request; preparing it again changes nothing."""
    for step in steps:
        text = normal(text, step)
    return text


def normal(text: str, step: Clean) -> str:
    """The text in the step's Unicode form, without spaces around it."""
    if step.normalize == "nfkc":
        text = unicodedata.normalize("NFKC", text)
    elif step.normalize == "nfc":
        text = unicodedata.normalize("NFC", text)
    return text.strip()
