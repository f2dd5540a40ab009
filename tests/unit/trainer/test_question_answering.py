"""Rows of questions in all their forms, where an answer is in a text, and what answers are worth."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.api.dataset import Clean
from modelyard_trainer.data.aligned import aligned
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.tasks.protocols import Fields
from modelyard_trainer.tasks.question_answering import rows
from modelyard_trainer.tasks.question_answering.learner import first_sentences, likest_sentences, sentences
from modelyard_trainer.tasks.question_answering.spans import best, scores, tokens_of

COLUMNS = {name: name for name in ("question", "context", "answers")}
CONTEXT = "Ada left. Ada came back to Paris, and left Paris."
NOTHING: list[Any] = [[], {"text": [], "answer_start": []}, None, "", "[]", float("nan"), [""]]
LEFT = [{"start": 43, "text": "Paris"}]


def fields(answers: Any, context: str = CONTEXT) -> Fields | str | None:
    return rows.fields({"question": "Where?", "context": context, "answers": answers}, COLUMNS)


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ({"text": ["Paris"], "answer_start": [43]}, LEFT),
        ({"text": ["Paris"], "answer_start": [43.0]}, LEFT),
        ({"text": "Paris", "answer_start": 43}, LEFT),
        ([{"text": "Paris", "start": 43}], LEFT),
        ([{"text": "Paris", "answer_start": 43}], LEFT),
        (json.dumps({"text": ["Paris"], "answer_start": [43]}), LEFT),
        (json.dumps(["Paris", "Ada"]), [{"start": 27, "text": "Paris"}, {"start": 0, "text": "Ada"}]),
        (["Paris"], [{"start": 27, "text": "Paris"}]),
        ("Paris", [{"start": 27, "text": "Paris"}]),
        ({"text": ["Paris"], "answer_start": [40]}, LEFT),
        ({"text": ["Paris"], "answer_start": [-1]}, [{"start": 27, "text": "Paris"}]),
        ({"text": ["Paris"], "answer_start": [4000]}, LEFT),
        ({"text": ["  paris"], "answer_start": [43]}, LEFT),
        ({"text": ["Ada\ncame back"], "answer_start": [0]}, [{"start": 10, "text": "Ada came back"}]),
        ({"text": ["Paris", "Ada left"], "answer_start": [43, 0]}, [*LEFT, {"start": 0, "text": "Ada left"}]),
        *((nothing, []) for nothing in NOTHING),
        ({"text": None, "answer_start": None}, []),
    ],
)
def test_right_answers_may_be_written_in_several_ways(answers: Any, found: list[dict[str, Any]]) -> None:
    row = fields(answers)
    assert isinstance(row, dict)
    assert row["answers"] == found
    assert all(CONTEXT[one["start"] :].startswith(one["text"]) for one in found)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"text": ["Paris"], "answer_start": []}, "has 1 texts, but places"),
        ([3], "has the answer '3': write"),
        ([{"start": 3}], "has the answer"),
        ([{"text": "Paris", "start": "x"}], "has the answer"),
        (7, "has the answer '7'"),
        (["Paris"] * 1001, "at most 1000"),
    ],
)
def test_what_is_no_answer_is_told(answers: Any, told: str) -> None:
    with pytest.raises(ValueError, match="column answers") as fault:
        fields(answers)
    assert told in str(fault.value)


def test_a_row_without_question_or_context_is_empty() -> None:
    assert fields([], " ") is None
    assert rows.fields({"question": None, "context": "a", "answers": []}, COLUMNS) is None


def read(tmp_path: Path, answers: list[Any]) -> tuple[list[Record], Counter[str], Notes]:
    path, removed, notes = tmp_path / "rows.jsonl", Counter[str](), Notes("answers", "answers", tuple(COLUMNS))
    lines = ({"question": "Where?", "context": CONTEXT, "answers": one} for one in answers)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    records = read_files({"rows.jsonl": path}, "auto", rows, Wanted(COLUMNS), removed, notes)
    return list(records), removed, notes


def test_answers_that_are_nowhere_are_left_out_counted_and_named(tmp_path: Path) -> None:
    found, removed, notes = read(tmp_path, [*["Paris"] * 30, "London", {"text": ["Rome"], "answer_start": [3]}])
    assert (len(found), removed) == (30, {"misplaced": 2})
    notes.add_left_out(removed)
    assert notes.shown() == [
        "2 rows have answers that their contexts do not hold and are left out: rows.jsonl line 31, rows.jsonl line 32"
    ]


@pytest.mark.parametrize("form", ["nfkc", "nfc", "none"])
def test_answers_move_with_their_context(form: Any) -> None:
    """Ligatures and full-width letters become several or other characters; spaces in front go."""
    context = "  \ufb01ne \uff21\uff24\uff21 le\u0301ft \U0001f469\u200d\U0001f467 Paris"
    start = context.index("Paris")
    row = {"question": " a ", "context": context, "answers": [{"start": start, "text": "Paris"}]}
    found = rows.cleaned(row, Clean(normalize=form))
    assert isinstance(found, dict)
    assert found["context"] == prepared(context, [Clean(normalize=form)])
    [one] = found["answers"]
    assert one["text"] == "Paris" == found["context"][one["start"] :]
    assert rows.cleaned(found, Clean(normalize=form)) == found


def test_rows_are_cleaned_or_removed() -> None:
    row = {"question": "a", "context": "b", "answers": []}
    assert rows.cleaned({**row, "question": "\u3000"}, Clean()) == "empty"
    assert rows.cleaned({**row, "context": " "}, Clean()) == "empty"
    assert rows.cleaned(row, Clean(min_chars=2)) == "short"


MARKS = "\u0301\u0323\u00a8\u0f71\u0f72\u0344\u1161\u11ab"
"""They join what stands before them, or change places."""
LETTERS = st.text(st.sampled_from(f"ab \u3000\n\u00e9e{MARKS}\ufb01\uff21\u1112\uac00\u212b\u00bd"))


@settings(deadline=None)
@given(LETTERS | st.text(), st.lists(st.sampled_from(["nfkc", "nfc", "none"]), max_size=2))
def test_a_prepared_text_is_aligned_with_the_one_that_came(text: str, forms: list[Any]) -> None:
    steps = [Clean(normalize=form) for form in forms]
    found = aligned(text, steps)
    assert found.text == prepared(text, steps)
    assert len(found.starts) == len(found.ends) == len(found.text)
    assert (found.starts < found.ends).all() and (np.diff(found.starts) >= 0).all() and (np.diff(found.ends) >= 0).all()
    for at, character in enumerate(found.text):
        start, end = int(found.starts[at]), int(found.ends[at])
        if not forms:
            assert text[start:end] == character
        assert unicodedata.normalize("NFKD", character)[0] in unicodedata.normalize("NFKD", text[start:end])


@pytest.mark.parametrize(
    ("found", "right", "f1", "exact"),
    [
        ("Paris", ["Paris"], 1.0, 1.0),
        ("the  PARIS!", ["Paris"], 1.0, 1.0),
        ("in Paris", ["Paris"], 2 / 3, 0.0),
        ("Paris", ["London", "Paris, France"], 2 / 3, 0.0),
        ("Paris Paris", ["Paris London"], 0.5, 0.0),
        ("London", ["Paris"], 0.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("", [], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
        ("Paris", [], 0.0, 0.0),
        ("", ["the", "."], 1.0, 1.0),
    ],
)
def test_answers_are_scored_as_by_squad(found: str, right: list[str], f1: float, exact: float) -> None:
    assert scores(found, right) == pytest.approx((f1, exact))


def best_by_hand(logits: np.ndarray, longest: int) -> tuple[float, int, int, int]:
    """Every part of every window."""
    tokens = range(logits.shape[1] - 1)
    return max(
        (float(one[1 + first, 0] + one[1 + last, 1] - one[0].sum()), -number, -first, -last)
        for number, one in enumerate(logits)
        for first in tokens
        for last in tokens[first : first + longest]
    )


@pytest.mark.parametrize("longest", [1, 3, 50])
@pytest.mark.parametrize("windows", [1, 3])
def test_the_best_part_is_found(windows: int, longest: int) -> None:
    chance = np.random.default_rng(3)
    for tokens in (1, 2, 9):
        logits = chance.normal(size=(windows, 1 + tokens, 2)).astype(np.float32)
        lead, *where = best_by_hand(logits, longest)
        found = best(logits, longest)
        assert [-found.window, -found.first, -found.last] == where
        assert found.lead == pytest.approx(lead, abs=1e-5)
        assert found.is_answer == (lead > 0)
    assert not best(np.full((1, 1, 2), -9, dtype=np.float32), longest).is_answer


def test_tokens_of_characters() -> None:
    places = np.array([[0, 3], [3, 3], [4, 8], [8, 9], [8, 9], [10, 12]])
    assert tokens_of(places, 4, 8) == (2, 2)
    assert tokens_of(places, 5, 9) == (2, 4)
    assert tokens_of(places, 0, 12) == (0, 5)
    first, last = tokens_of(places, 9, 10)
    assert first > last
    first, last = tokens_of(places[:0], 0, 1)
    assert first > last


def test_baselines_take_sentences() -> None:
    text = "Ada left. She came back, e.g. to Paris! And then\n\nshe stayed"
    assert list(sentences(text)) == ["Ada left.", "She came back, e.g.", "to Paris!", "And then", "she stayed"]
    row = {"question": "When did she come to Paris?", "context": text}
    assert [one["answer"] for one in first_sentences([], [row])] == ["Ada left."]
    assert [one["answer"] for one in likest_sentences([], [row])] == ["to Paris!"]
