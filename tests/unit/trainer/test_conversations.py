"""Rows of conversations: each form that sources have, and what is left out, counted and named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from modelyard.api.dataset import Clean, Columns
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.tasks import rows_of

KIND = rows_of("text-generation")
ASKED, GIVEN = {"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}
SYSTEM = {"role": "system", "content": "Be short."}
SHAREGPT = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]


def read(tmp_path: Path, records: list[dict[str, Any]], column: str | None = None) -> tuple[list[Any], Any, list[str]]:
    path, removed, notes = tmp_path / "a.jsonl", Counter[str](), Notes("", columns=())
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    wanted = Wanted(Columns(messages=column).of("text-generation"))
    found = [record.row["messages"] for record in read_files({path.name: path}, "auto", KIND, wanted, removed, notes)]
    notes.add_left_out(removed)
    return found, removed, notes.shown()


@pytest.mark.parametrize(
    "record",
    [
        {"messages": [ASKED, GIVEN]},
        {"messages": json.dumps([ASKED, GIVEN])},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}, GIVEN]},
        {"messages": SHAREGPT, "id": 3},
        {"conversations": SHAREGPT, "text": "not this one"},
        {"prompt": "Who?", "completion": "Me."},
        {"prompt": [ASKED], "completion": [GIVEN]},
        {"instruction": "Who?", "input": "", "output": "Me."},
        {"instruction": "Who?", "output": "Me."},
        {"messages": [ASKED, GIVEN, {"role": "user", "content": "And?"}]},
    ],
)
def test_each_form_is_one_conversation(tmp_path: Path, record: dict[str, Any]) -> None:
    assert read(tmp_path, [record]) == ([[ASKED, GIVEN]], {}, [])


def test_what_is_of_one_form_alone(tmp_path: Path) -> None:
    assert read(tmp_path, [{"messages": [SYSTEM, ASKED, GIVEN]}])[0] == [[SYSTEM, ASKED, GIVEN]]
    (found,), *_ = read(tmp_path, [{"instruction": "Add.", "input": "1 and 2", "output": "3"}])
    assert found[0]["content"] == "Add.\n\n1 and 2"
    assert read(tmp_path, [{"text": "As it is."}])[0] == [[{"role": "text", "content": "As it is."}]]
    assert read(tmp_path, [{"chat": SHAREGPT, "text": "x"}], "chat")[0] == [[ASKED, GIVEN]]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"messages": [ASKED]}, "unanswered"),
        ({"messages": [SYSTEM]}, "unanswered"),
        ({"messages": [GIVEN]}, "misordered"),
        ({"messages": [ASKED, ASKED, GIVEN]}, "misordered"),
        ({"messages": [ASKED, GIVEN, GIVEN]}, "misordered"),
        ({"messages": [ASKED, SYSTEM, GIVEN]}, "misordered"),
        ({"messages": [ASKED, {"role": "tool", "content": "x"}, GIVEN]}, "misordered"),
        ({"messages": [ASKED, {"role": "assistant", "content": " "}]}, "empty"),
        ({"messages": [ASKED, {"role": "assistant", "content": None}]}, "empty"),
        ({"messages": []}, "empty"),
        ({"messages": None}, "empty"),
        ({"prompt": "Who?", "completion": ""}, "empty"),
        ({"text": " "}, "empty"),
    ],
)
def test_what_cannot_be_learned_is_counted_and_named(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    found, removed, notes = read(tmp_path, [{"messages": [ASKED, GIVEN]}, record, record])
    assert len(found) == 1
    assert removed == {reason: 2}
    assert len(notes) == 1 and notes[0].endswith("and are left out: a.jsonl line 2, a.jsonl line 3")
    assert notes[0].startswith("2 rows have ")


@pytest.mark.parametrize(
    ("record", "column", "parts"),
    [
        (
            {"question": "x", "answer": "y"},
            None,
            ["line 1", "answer, question", "prompt and completion", "columns.messages"],
        ),
        ({"messages": "Who?"}, None, ["line 1", "column messages is not JSON"]),
        ({"messages": 3}, None, ["column messages is int"]),
        ({"messages": ["Who?"]}, None, ["message 1 is str"]),
        ({"messages": [{"role": ["user"], "content": "x"}]}, None, ["messages: role is a list"]),
        ({"text": "x"}, "chat", ["spec.source.columns.messages is 'chat'"]),
    ],
)
def test_what_is_no_conversation_is_said_with_its_place(
    tmp_path: Path, record: dict[str, Any], column: str | None, parts: list[str]
) -> None:
    with pytest.raises(TrainerError) as fault:
        read(tmp_path, [record], column)
    for part in parts:
        assert part in fault.value.message


def test_rows_are_the_same_by_what_comes_before_the_last_answer() -> None:
    one, other = (
        {"messages": [ASKED, GIVEN]},
        {"messages": [{**ASKED, "content": "who? "}, {**GIVEN, "content": "You."}]},
    )
    assert KIND.same(one) == KIND.same(other)
    longer = {"messages": [ASKED, GIVEN, ASKED, GIVEN]}
    assert KIND.same(one) != KIND.same(longer)
    assert KIND.same({"messages": [{"role": "text", "content": "a"}]}) != KIND.same(
        {"messages": [{"role": "text", "content": "b"}]}
    )


def test_cleaning_reaches_every_message() -> None:
    row = {"messages": [{**ASKED, "content": " \uff37ho? "}, GIVEN]}
    assert KIND.cleaned(row, Clean()) == {"messages": [ASKED, GIVEN]}
    assert KIND.cleaned(row, Clean(min_chars=100)) == "short"
    assert KIND.cleaned({"messages": [ASKED, {**GIVEN, "content": "\u3000"}]}, Clean()) == "empty"
