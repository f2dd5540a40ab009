"""Rows in Parquet files, as data frames and other tools write them."""

from __future__ import annotations

import datetime
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard.api.dataset import Clean, Dedupe, Split, Step
from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.rows import Record
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.data.steps import Steps
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.tasks import rows_of

KIND = rows_of("text-classification")
WANTED = Wanted({"text": "body", "label": "stars"})


def row(text: str, label: str) -> Record:
    return Record({"text": text, "label": label})


def written(path: Path, columns: dict[str, Any], **more: Any) -> Path:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path, **more)
    return path


def read(path: Path) -> tuple[list[Record], Counter[str]]:
    removed = Counter[str]()
    return list(read_files({path.name: path}, "auto", KIND, WANTED, removed, Notes("stars"))), removed


@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "part-00000"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_rows(tmp_path: Path, name: str, compression: str) -> None:
    columns = {"id": [[1], [2], [3]], "body": ["gut; sehr", "訳", None], "stars": [5, 1, 2]}
    rows, removed = read(written(tmp_path / name, columns, compression=compression))
    assert rows == [row("gut; sehr", "5"), row("訳", "1")]
    assert removed == {"empty": 1}


def test_many_row_groups_keep_their_order(tmp_path: Path) -> None:
    columns = {"body": [f"text {number}" for number in range(5000)], "stars": ["a", "b"] * 2500}
    rows, _ = read(written(tmp_path / "a.parquet", columns, row_group_size=700))
    assert rows == [row(f"text {number}", "ab"[number % 2]) for number in range(5000)]


LABELS: list[tuple[Any, str]] = [
    (1.0, "1.0"), (True, "true"), (b"good", "good"), (Decimal("1.50"), "1.50"),
    (datetime.date(2026, 11, 27), "2026-11-27"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "label"), LABELS)
def test_classes_of_other_types(tmp_path: Path, value: Any, label: str) -> None:
    assert read(written(tmp_path / "a.parquet", {"body": ["x"], "stars": [value]}))[0] == [row("x", label)]


def test_categories_of_data_frames(tmp_path: Path) -> None:
    import pyarrow as pa

    stars = pa.array(["good", "bad", "good"]).dictionary_encode()
    rows, _ = read(written(tmp_path / "a.parquet", {"body": ["x", "y", "z"], "stars": stars}))
    assert [record.row["label"] for record in rows] == ["good", "bad", "good"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"text": ["x"], "stars": [1]}, "spec.source.columns.text is 'body', but a.parquet has the columns stars, text"),
    ({"body": [["x"]], "stars": [1]}, "a.parquet line 1: column body is a list"),
    ({"body": [b"\xff\xfe"], "stars": [1]}, "a.parquet row 1: column body holds bytes that are not UTF-8"),
]


@pytest.mark.parametrize(("columns", "words"), FAULTS)
def test_faults_name_file_row_and_column(tmp_path: Path, columns: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainerError) as fault:
        read(written(tmp_path / "a.parquet", columns))
    assert fault.value.reason == "BadData" and words in fault.value.message


@pytest.mark.parametrize("spoil", [lambda data: data[:-20], lambda data: data[:200], lambda data: b"body,stars\nx,1\n"])
def test_a_file_that_is_not_complete(tmp_path: Path, spoil: Any) -> None:
    path = written(tmp_path / "a.parquet", {"body": ["x"] * 99, "stars": list(range(99))})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TrainerError, match=r"a\.parquet is not a complete Parquet file"):
        read(path)


def test_a_page_that_rotted(tmp_path: Path) -> None:
    columns = {"body": [f"text {number}" for number in range(999)], "stars": ["a", "b", "c"] * 333}
    path = written(tmp_path / "a.parquet", columns, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    data[40:400] = bytes(360)
    path.write_bytes(data)
    with pytest.raises(TrainerError, match=r"a\.parquet is not a complete Parquet file"):
        read(path)


def test_a_column_twice(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"]), pa.array(["a"])], ["body", "body", "stars"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(TrainerError, match="has the column body 2 times"):
        read(tmp_path / "a.parquet")


def test_pictures_stay_bytes(tmp_path: Path) -> None:
    """As a column of bytes, or as Hugging Face datasets write them; other bytes are text as before."""

    class Pictures:
        @staticmethod
        def fields(record: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
            return {name: record[column] for name, column in columns.items()}

    png, wanted = b"\x89PNG\xff", Wanted({"image": "img", "label": "cls"}, picture="image")
    forms = {"a.parquet": png, "b.parquet": {"bytes": png, "path": "1.png"}}
    paths = {name: written(tmp_path / name, {"img": [value], "cls": [b"cat"]}) for name, value in forms.items()}
    found = read_files(paths, "auto", cast(Any, Pictures), wanted, Counter(), Notes("cls"))
    assert [record.row for record in found] == [{"image": png, "label": "cat"}] * 2


def test_files_of_one_source_may_have_other_types(tmp_path: Path) -> None:
    """Numbers in one, text in the other, the columns in another order: one class, and equal texts meet across files."""
    found: list[Record] = []
    one = written(tmp_path / "a.parquet", {"body": ["x", "y"], "stars": [1, 2], "id": [1, 2]})
    other = written(tmp_path / "b.parquet", {"stars": ["1", "2"], "body": ["X", "z"]})
    for path in (one, other):
        found += read(path)[0]
    removed, notes = Counter[str](), Notes("stars")
    steps = [Step(clean=Clean()), Step(dedupe=Dedupe()), Step(split=Split())]
    rows = [fields for _, fields in Steps(KIND, steps, removed, notes, tmp_path / "scratch").apply(found)]
    assert sorted((fields["text"].lower(), fields["label"]) for fields in rows) == [("x", "1"), ("y", "2"), ("z", "2")]
    assert +removed == {"duplicate": 1}


def test_a_file_that_lacks_a_column_is_named(tmp_path: Path) -> None:
    one = written(tmp_path / "a.parquet", {"body": ["x"], "stars": [1]})
    other = written(tmp_path / "b.parquet", {"body": ["x"], "label": [1]})
    with pytest.raises(TrainerError, match=r"columns\.label is 'stars', but b\.parquet has the columns body, label"):
        list(read_files({"a": one, "b": other}, "auto", KIND, WANTED, Counter(), Notes("stars")))
