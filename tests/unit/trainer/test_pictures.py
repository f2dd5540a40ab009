"""Pictures as files: a class per folder, or a table that names them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.source import Wanted, read_files
from modelyard_trainer.errors import TrainerError

WANTED = Wanted({"image": "image", "label": "label"}, picture="image")


class Pictures:
    """Rows of pictures as a task would take them."""

    @staticmethod
    def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any] | None:
        image, label = record[columns["image"]], record.get(columns["label"])
        return {"image": image, "label": label} if image and label else None


def read(
    tmp_path: Path, files: dict[str, bytes], format: str = "auto", wanted: Wanted = WANTED
) -> tuple[list[tuple[bytes, Any, str]], list[str]]:
    """Picture, class and group of each row, and notes."""
    paths = {}
    for number, (key, data) in enumerate(files.items()):
        paths[key] = tmp_path / f"{number}" / Path(key).name
        paths[key].parent.mkdir()
        paths[key].write_bytes(data)
    removed, notes = Counter[str](), Notes("label", columns=("image", "label"))
    found = list(read_files(paths, format, cast(Any, Pictures), wanted, removed, notes))
    notes.add_left_out(removed)
    return [(record.row["image"], record.row["label"], record.group) for record in found], notes.found


@pytest.mark.parametrize("format", ["auto", "imagefolder"])
def test_the_folder_is_the_class(tmp_path: Path, format: str) -> None:
    rows, notes = read(tmp_path, {"cat/1.png": b"a", "dog/1.JPG": b"b", "dog/more/cat/2.webp": b"c"}, format)
    assert rows == [(b"a", "cat", ""), (b"b", "dog", ""), (b"c", "cat", "")]
    assert notes == []


def test_folders_of_splits_decide_nothing_and_a_note_says_so(tmp_path: Path) -> None:
    files = {"train/cat/1.png": b"a", "test/dog/1.png": b"b", "Thumbs.db": b"?", "train/3.png": b"c", "4.png": b"d"}
    rows, notes = read(tmp_path, files)
    assert rows == [(b"a", "cat", ""), (b"b", "dog", "")]
    assert notes == [
        "1 files of the source are neither pictures nor metadata.csv or metadata.jsonl or metadata.parquet: they are "
        "passed over",
        "folders test, train do not decide the split: spec.prepare does, over all rows",
        "2 rows have no image or no class and are left out: train/3.png line 1, 4.png line 1",
    ]


def test_a_table_names_pictures_and_says_more(tmp_path: Path) -> None:
    lines = b'{"file_name": "1.png", "label": "cat", "who": "A"}', b'{"file_name": "./2.png", "label": 5, "who": "B"}'
    files = {"train/metadata.jsonl": b"\n".join(lines), "train/1.png": b"a", "train/2.png": b"b", "3.png": b"c"}
    rows, notes = read(tmp_path, files, wanted=Wanted(WANTED.columns, "who", picture="image"))
    assert rows == [(b"a", "cat", "A"), (b"b", 5, "B")]
    assert notes[1:] == ["1 pictures are left out, as no line of train/metadata.jsonl names them"]


def test_a_table_without_classes_leaves_them_to_the_folders(tmp_path: Path) -> None:
    files = {"metadata.csv": b"file_name,by\ncat/1.png,me\ndog/1.png,you\n", "cat/1.png": b"a", "dog/1.png": b"b"}
    assert read(tmp_path, files)[0] == [(b"a", "cat", ""), (b"b", "dog", "")]


@pytest.mark.parametrize("name", ["2.png", "../1.png", "/etc/passwd", ""])
def test_a_picture_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    files = {"a/metadata.csv": f"file_name,label\n{name},x\n".encode(), "a/1.png": b"a"}
    with pytest.raises(TrainerError) as fault:
        read(tmp_path, files)
    assert "a/metadata.csv line 2: file_name is" in fault.value.message and fault.value.reason == "BadData"


def test_a_task_of_texts_has_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"spec\.source\.format is imagefolder"):
        read(tmp_path, {"cat/1.png": b"a"}, "imagefolder", Wanted(WANTED.columns))
