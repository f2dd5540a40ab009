"""Reading rows: what counts, and what each fault says."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path

import pytest

from modelyard_trainer.data.rows import Row
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.errors import TrainerError

WANTED = Wanted("body", "stars")


def read(tmp_path: Path, name: str, content: bytes, wanted: Wanted = WANTED) -> tuple[list[Row], Counter[str]]:
    path, removed = tmp_path / name, Counter[str]()
    path.write_bytes(content)
    format = "csv" if ".csv" in name else "jsonl"
    return list(read_files([path], format, wanted, removed)), removed


JSONL = b'{"body": "good", "stars": 5}\n\n{"body": "bad", "stars": 1.5, "id": [1]}\n{"body": "so so", "stars": true}\n'
CSV = b'\xef\xbb\xbfid,body,stars\n1,"good, very",5\n2,"two\nlines",1\n'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.jsonl", JSONL, [Row("good", "5"), Row("bad", "1.5"), Row("so so", "true")]),
        ("a.jsonl.gz", gzip.compress(JSONL, mtime=0), [Row("good", "5"), Row("bad", "1.5"), Row("so so", "true")]),
        ("a.csv", CSV, [Row("good, very", "5"), Row("two\nlines", "1")]),
        ("a.csv.gz", gzip.compress(CSV, mtime=0), [Row("good, very", "5"), Row("two\nlines", "1")]),
        ("no-line-break-at-the-end.jsonl", b'{"body": "x", "stars": "a"}', [Row("x", "a")]),
        ("lone-surrogate.jsonl", b'{"body": "x\\ud800", "stars": "a"}', [Row("x?", "a")]),
    ],
)
def test_rows(tmp_path: Path, name: str, content: bytes, expected: list[Row]) -> None:
    assert read(tmp_path, name, content)[0] == expected


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


GOOD = b'{"body": "x", "stars": 1}\n'


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        ("a.jsonl", GOOD + b'{"body": "x", "stars"', ["a.jsonl line 2 is not JSON", "spec.source.format"]),
        ("a.jsonl", GOOD + b"[1, 2]\n", ["a.jsonl line 2 is a list"]),
        ("a.jsonl", b'{"body": ["x"], "stars": 1}\n', ["line 1", "column body is a list"]),
        ("a.jsonl", b'{"text": "x", "stars": 1}\n', ["spec.source.columns.text is 'body'", "stars, text", "set spec"]),
        ("a.jsonl", b'{"body": "x", "label": 1}\n', ["spec.source.columns.label is 'stars'", "body, label"]),
        ("a.jsonl", b"\xff\xfe\x00", ["not UTF-8", "spec.source.format"]),
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
    wanted = Wanted("body", "stars", "author", "spec.prepare[2].split.groupBy")
    with pytest.raises(TrainerError, match=r"spec\.prepare\[2\]\.split\.groupBy is 'author'"):
        read(tmp_path, "a.jsonl", GOOD, wanted)
