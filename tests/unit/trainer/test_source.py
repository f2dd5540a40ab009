"""Reading rows: what counts, and what each fault says."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard_trainer.data import text_files
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.tasks import rows_of

KIND = rows_of("text-classification")
COLUMNS = {"text": "body", "label": "stars"}
WANTED = Wanted(COLUMNS)


def row(text: str, label: str) -> Record:
    return Record({"text": text, "label": label})


def read(tmp_path: Path, name: str, content: bytes, wanted: Wanted = WANTED) -> tuple[list[Record], Counter[str]]:
    path, removed = tmp_path / name, Counter[str]()
    path.write_bytes(content)
    return list(read_files({name: path}, "auto", KIND, wanted, removed, Notes("stars"))), removed


JSONL = b'{"body": "good", "stars": 5}\n\n{"body": "bad", "stars": 1.5, "id": [1]}\n{"body": "so so", "stars": true}\n'
CSV = b'\xef\xbb\xbfid,body,stars\n1,"good, very",5\n2,"two\nlines",1\n'


SPREADSHEET = 'Nr;body;;stars;;\n1;"gut; sehr";;5;;\n2;schlecht;;1;;\n'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", JSONL, [row("good", "5"), row("bad", "1.5"), row("so so", "true")]),
        ("a.jsonl.gz", gzip.compress(JSONL, mtime=0), [row("good", "5"), row("bad", "1.5"), row("so so", "true")]),
        ("a.csv", CSV, [row("good, very", "5"), row("two\nlines", "1")]),
        ("a.csv.gz", gzip.compress(CSV, mtime=0), [row("good, very", "5"), row("two\nlines", "1")]),
        ("spreadsheet.csv", SPREADSHEET.encode("utf-8-sig"), [row("gut; sehr", "5"), row("schlecht", "1")]),
        ("tabs.tsv", b"body\tstars\tbody2\na, b\t5\tx\n", [row("a, b", "5")]),
        ("list.json", b' [{"body": "x", "stars": 1}, {"body": "y", "stars": 2}]', [row("x", "1"), row("y", "2")]),
        ("lines.json", b'{"body": "x", "stars": 1}\n{"body": "y", "stars": 2}', [row("x", "1"), row("y", "2")]),
        ("no-ending", b'{"body": "x", "stars": 1}', [row("x", "1")]),
        ("no-ending-csv", b"body|stars\nx|1\n", [row("x", "1")]),
        ("blank-lines.csv", b"body,stars\n\nx,1\n,\n", [row("x", "1")]),
        ("two-of-another.csv", b"id,id,body,stars\n1,2,x,5\n", [row("x", "5")]),
        ("forms.jsonl", '{"body": "x", "stars": " cafe\u0301 "}'.encode(), [row("x", "caf\u00e9")]),
        ("no-line-break-at-the-end.jsonl", b'{"body": "x", "stars": "a"}', [row("x", "a")]),
        ("lone-surrogate.jsonl", b'{"body": "x\\ud800", "stars": "a"}', [row("x?", "a")]),
    ],
)
def test_rows(tmp_path: Path, name: str, content: bytes, expected: list[Record]) -> None:
    assert read(tmp_path, name, content)[0] == expected


def test_files_of_several_formats_are_each_read_as_what_they_are(tmp_path: Path) -> None:
    files = {"a.csv": CSV, "b.jsonl": GOOD, "c.tsv": b"body\tstars\nz\t3\n", "d.csv": b"", "e": b""}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = {path.name: path for path in sorted(tmp_path.iterdir())}
    found = read_files(paths, "auto", KIND, WANTED, Counter(), Notes("stars"))
    assert [record.row["label"] for record in found] == ["5", "1", "1", "3"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"body": null, "stars": 1}',
        b'{"body": "x", "stars": null}',
        b'{"body": "  ", "stars": 1}',
        b'{"body": "x", "stars": ""}',
        b'{"body": "x", "stars": NaN}',
        b'{"body": "x"}',
    ],
)
def test_rows_without_text_or_class_are_counted(tmp_path: Path, line: bytes) -> None:
    found, removed = read(tmp_path, "a.jsonl", b'{"body": "x", "stars": 1}\n' + line)
    assert len(found) == 1
    assert removed == {"empty": 1}


def test_the_first_rows_without_text_or_class_are_named(tmp_path: Path) -> None:
    path, removed, notes = tmp_path / "a.csv", Counter[str](), Notes("stars")
    path.write_bytes(b"body,stars\nx,1\n" + b",1\nx,\n" * 3)
    assert len(list(read_files({path.name: path}, "auto", KIND, WANTED, removed, notes))) == 1
    notes.add_left_out(removed)
    (note,) = notes.shown()
    assert note == "6 rows have no text or no class and are left out: a.csv line 3, a.csv line 4, a.csv line 5, ..."


GOOD = b'{"body": "x", "stars": 1}\n'


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.jsonl", GOOD + b'{"body": "x", "stars"', ["a.jsonl line 2 is not JSON", "spec.source.format"]),
        ("a.jsonl", GOOD + b"[1, 2]\n", ["a.jsonl line 2 is a list"]),
        ("a.jsonl", b'{"body": ["x"], "stars": 1}\n', ["line 1", "column body is a list"]),
        ("a.jsonl", b'{"text": "x", "stars": 1}\n', ["spec.source.columns.text is 'body'", "stars, text", "set spec"]),
        ("a.jsonl", b'{"body": "x", "label": 1}\n', ["spec.source.columns.label is 'stars'", "body, label"]),
        ("a.jsonl", b"\xff\xfe{\x00", ["a.jsonl is UTF-16", "iconv -f UTF-16"]),
        (
            "a.jsonl",
            GOOD + b'{"body": "caf\xe9", "stars": 1}\n',
            ["byte 0xe9 at offset 39 (line 2)", "'\u00e9'", "iconv -f CP1252"],
        ),
        ("a.csv", b"body,stars\n" + b"x,1\n" * 30_000 + b"\x93x,1\n", ["byte 0x93 at offset 120011 (line 30002)"]),
        ("a.csv", b"PK\x03\x04\x14\x00\x06\x00\x08\xd7", ["a.csv is a spreadsheet or a zip file", "as CSV in UTF-8"]),
        ("a.json", b"[1, 2]", ["a.json item 1 is a number, not a JSON object"]),
        ("a.json", b'[{"body": "x"', ["a.json is not a JSON list"]),
        ("a.json", b'[{"body": "x", "stars": 1} {"body": "x", "stars": 1}]', ["not a JSON list (Expecting ','"]),
        ("a.json", b'[{"body": "x", "stars": 1},]', ["a.json is not a JSON list"]),
        ("a.json", b'[{"body": "x", "stars": 1}] []', ["a.json is not a JSON list (Extra data"]),
        ("a.json", b"[" * 100_000, ["a.json is not a JSON list"]),
        ("a.csv", b"body,body,stars\nx,y,5\n", ["the column body 2 times", "a name of its own"]),
        ("a.jsonl", b"[" * 100_000, ["line 1 is not JSON"]),
        ("a.jsonl.gz", gzip.compress(GOOD * 99, mtime=0)[:-20], ["not a complete gzip file"]),
        ("a.jsonl.gz", GOOD, ["not a complete gzip file"]),
        ("a.csv", b"id,review,stars\n1,x,5\n", ["spec.source.columns.text is 'body'", "id, review, stars"]),
        ("a.csv", b"body,stars\nx,5\ny\n", ["a.csv line 3 has 1 cells", "2 columns"]),
        ("a.csv", b"body,stars\nx,y,5\n", ["a.csv line 2 has 3 cells", "quote"]),
        ("a.csv", b'body,stars\n"x"y,5\n', ["a.csv line 2 is not CSV"]),
    ],
)
def test_faults_name_file_line_and_remedy(tmp_path: Path, name: str, content: bytes, parts: list[str]) -> None:
    with pytest.raises(TrainerError) as fault:
        read(tmp_path, name, content)
    assert fault.value.reason == "BadData"
    for part in parts:
        assert part in fault.value.message


def test_missing_group_column_names_its_field(tmp_path: Path) -> None:
    wanted = Wanted(COLUMNS, "author", "spec.prepare[2].split.groupBy")
    with pytest.raises(TrainerError, match=r"spec\.prepare\[2\]\.split\.groupBy is 'author'"):
        read(tmp_path, "a.jsonl", GOOD, wanted)


def test_a_json_list_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is cut in two, at every place, a list is read as if it had come whole."""
    content = json.dumps([{"body": 'a, b] \\\\ " ü', "stars": number / 3} for number in range(4)], indent=1).encode()
    whole = read(tmp_path, "a.json", content)
    for piece in range(1, 40):
        monkeypatch.setattr(text_files, "PIECE", piece)
        assert read(tmp_path, "a.json", b"\n" * 45 + content + b" " * 45) == whole
        assert read(tmp_path, "a.json", b" [ ] ") == ([], {})


def test_lists_reach_the_rows_of_a_task_as_they_are(tmp_path: Path) -> None:
    class Tagged:
        @staticmethod
        def fields(record: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
            return {name: record[column] for name, column in columns.items()}

    path = tmp_path / "a.jsonl"
    path.write_text('{"words": ["a", "b"], "ner": [0, 1], "objects": [{"box": [1, 2, 3, 4], "label": "x"}]}\n')
    wanted = Wanted({"tokens": "words", "tags": "ner", "objects": "objects"})
    (record,) = read_files({"a.jsonl": path}, "auto", cast(Any, Tagged), wanted, Counter(), Notes("ner"))
    assert record.row == {"tokens": ["a", "b"], "tags": [0, 1], "objects": [{"box": [1, 2, 3, 4], "label": "x"}]}
