"""Rows of a question, a text that may hold its answer, and the right answers, which are parts of the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.aligned import aligned
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.rows import same_text
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa

QUESTION, CONTEXT, ANSWERS = "question", "context", "answers"
STARTS = ("answer_start", "start")
"""Names of the place that an answer begins at."""
MISPLACED = "misplaced"
MOST = 1000
"""Right answers of a row."""
FORM = (
    'write {"text": ["..."], "answer_start": [0]}, [{"text": "...", "start": 0}], a list of texts or one text; nothing '
    "where the context has no answer"
)


def schema() -> pa.Schema:
    """Of each answer its text and the character of the context that it begins at."""
    import pyarrow as pa

    one = pa.struct([("start", pa.int32()), ("text", pa.string())])
    return pa.schema([(ANSWERS, pa.list_(one)), (CONTEXT, pa.string()), (QUESTION, pa.string())])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | str | None:
    """The row of a record; None without question or context; `misplaced` if an answer is no part of the context."""
    asked = {name: plain(columns[name], record.get(columns[name])) for name in (QUESTION, CONTEXT)}
    if not all(text.strip() for text in asked.values()):
        return None
    column, context = columns[ANSWERS], asked[CONTEXT]
    found = [placed(context, *one) for one in listed(column, record.get(column))]
    if len(found) > MOST:
        raise ValueError(f"column {column} has {len(found)} answers: at most {MOST} are possible")
    return {**asked, ANSWERS: found} if all(found) else MISPLACED


def listed(column: str, value: Any) -> Iterator[tuple[str, int | None]]:
    """Text and place of each answer of a cell, in any of the forms that people write."""
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, Mapping):
        value = _together(column, value)
    if value is None or value != value or value == "":
        return
    for one in [value] if isinstance(value, str) else value if isinstance(value, Sequence) else [value]:
        text, start = (one.get("text"), _start(one)) if isinstance(one, Mapping) else (one, None)
        if not isinstance(text, str) or not (start is None or _is_number(start)):
            raise ValueError(f"column {column} has the answer {str(one)[:80]!r}: {FORM}")
        if text:
            yield plain(column, text), None if start is None else int(start)


def _parsed(text: str) -> Any:
    """JSON, or the text itself where it only looks like it."""
    if text.lstrip()[:1] not in ("[", "{"):
        return text.strip()
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip()


def _together(column: str, value: Mapping[str, Any]) -> list[Any]:
    """The answers of {text: [...], answer_start: [...]}, or the one of {text, start}."""
    texts, starts = value.get("text"), _start(value)
    if not isinstance(texts, Sequence) or isinstance(texts, str):
        return [value] if texts or starts not in (None, []) else []
    given = [None] * len(texts) if starts is None else starts
    if not isinstance(given, Sequence) or len(given) != len(texts):
        raise ValueError(f"column {column} has {len(texts)} texts, but places {str(starts)[:40]}: {FORM}")
    return [{"text": text, "start": start} for text, start in zip(texts, given, strict=True)]


def _start(value: Mapping[str, Any]) -> Any:
    return next((value[name] for name in STARTS if value.get(name) is not None), None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


def placed(context: str, text: str, start: int | None) -> dict[str, Any] | None:
    """The answer where the context has it: at its place, else nearest to it; None if it is nowhere."""
    if start is not None and start >= 0 and context.startswith(text, start):
        return {"start": start, "text": text}
    words = [re.escape(word) for word in text.split()]
    for pattern in (re.escape(text), r"\s+".join(words), "(?i)" + r"\s+".join(words)) if words else ():
        places = [found.span() for found in re.finditer(pattern, context)]
        if places:
            first, last = min(places, key=lambda place: abs(place[0] - (start or 0)))
            return {"start": first, "text": context[first:last]}
    return None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Question and context in the step's Unicode form, with the answers where they are then; or why it is removed."""
    question, context = normal(row[QUESTION], step), aligned(row[CONTEXT], [step])
    if not question or not context.text:
        return "empty"
    if len(context.text) < step.min_chars:
        return "short"
    spans = [context.found(one["start"], one["start"] + len(one["text"])) for one in row[ANSWERS]]
    answers = [{"start": start, "text": context.text[start:end]} for start, end in spans if end > start]
    return {**row, QUESTION: question, CONTEXT: context.text, ANSWERS: answers}


def same(row: Fields) -> bytes:
    """Questions and contexts that differ only in case, spacing or Unicode form ask the same."""
    return f"{same_text(row[QUESTION])}\0{same_text(row[CONTEXT])}".encode()


def classes(row: Fields) -> tuple[str, ...]:
    """None: answers have no classes."""
    return ()


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row as it is."""
    return row


def instance(row: Fields) -> Instance:
    """Question and context."""
    return {QUESTION: row[QUESTION], CONTEXT: row[CONTEXT]}
