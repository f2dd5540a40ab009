"""Step clean: normalises text, drops rows that are too short; a request's text is prepared by the same function."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from modelyard.api.dataset import Clean
from modelyard_trainer.data.rows import Row


def clean(rows: Iterable[Row], step: Clean, removed: Counter[str]) -> Iterator[Row]:
    """Rows with clean text and class; the others are counted as empty or short."""
    for row in rows:
        text, label = normal(row.text, step), normal(row.label, step)
        if not text or not label:
            removed["empty"] += 1
        elif len(text) < step.min_chars:
            removed["short"] += 1
        else:
            yield row._replace(text=text, label=label)


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
