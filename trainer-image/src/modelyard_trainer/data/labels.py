"""Classes that are written in two ways: one class where the meaning is beyond doubt, else an error that shows both."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping

from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import same_text
from modelyard_trainer.errors import bad_data

NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
TRUTH = ("true", "false")


def label_of(text: str) -> str:
    """A class as it is written everywhere from here on."""
    return unicodedata.normalize("NFC", text).strip()


def one_spelling(counts: Mapping[str, int], notes: Notes) -> dict[str, str]:
    """Spelling -> the one that is kept, for classes (with their rows) that are written in several ways.

    `1` and `1.0`, and `true` and `True`, are one class: spreadsheets and data frames write them as they like. BAD_DATA
    if two classes differ in case, spaces or Unicode form alone.
    """
    spelt = _merged(counts, notes)
    _check_alike({spelt.get(label, label) for label in counts}, counts, notes.field)
    return spelt


def _merged(counts: Mapping[str, int], notes: Notes) -> dict[str, str]:
    same: dict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        same[_meaning(label)].append(label)
    spelt: dict[str, str] = {}
    for found in same.values():
        if len(found) > 1:
            kept = min(found, key=lambda label: (len(label), label.casefold() != label, label))
            shown = ", ".join(f"'{label}' ({counts[label]} rows)" for label in found)
            notes.add(f"{shown} are one class: '{kept}'")
            spelt |= {label: kept for label in found if label != kept}
    return spelt


def _meaning(label: str) -> str:
    if NUMBER.fullmatch(label):
        return f"number {float(label)!r}"
    return f"truth {label.casefold()}" if label.casefold() in TRUTH else f"word {label}"


def _check_alike(kept: set[str], counts: Mapping[str, int], field: str) -> None:
    seen: dict[str, str] = {}
    for label in sorted(kept):
        form = same_text(label)
        if form in seen:
            both = " and ".join(f"{name!r} ({counts[name]} rows)" for name in (seen[form], label))
            raise bad_data(
                f"{field} has the classes {both}, which differ only in case, spaces or "
                "Unicode form: write them in one way, or name them apart"
            )
        seen[form] = label
