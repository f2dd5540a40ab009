"""Pictures as files: a folder per class, or a table beside them that names each picture and says more about it.

Laid out as the imagefolder of Hugging Face datasets: `<class>/<file>`, or `metadata.csv` / `metadata.jsonl` with a
column file_name. Folders called train, validation or test decide nothing: the split step splits all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import TYPE_CHECKING, Any

from modelyard_trainer.data.notes import Notes
from modelyard_trainer.data.text_files import Records
from modelyard_trainer.errors import bad_data

if TYPE_CHECKING:
    from modelyard_trainer.data.source import Wanted

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "eval")
FILE_NAME = "file_name"


def is_picture(key: str) -> bool:
    """Whether a file's name is that of a picture."""
    return key.lower().endswith(PICTURES)


def is_table(key: str) -> bool:
    """Whether a file says more about the pictures beside and below it."""
    return PurePosixPath(key).name in TABLES


def read_folder(
    files: Mapping[str, Path], tables: Mapping[str, Records], wanted: Wanted, notes: Notes
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """File, line (1 for a picture without a table) and cells of each row; the picture itself is one of the cells.

    BAD_DATA for a picture that a table names and that is not there. Where neither folder nor table gives a class, the
    row has none.
    """
    if not wanted.picture:
        raise bad_data("spec.source.format is imagefolder, but the rows of the task hold no pictures: see spec.task")
    found = {normpath(key): path for key, path in files.items() if is_picture(key)}
    _note_others(files, found, tables, notes)
    if tables:
        yield from _named(found, tables, wanted, notes)
        return
    for key, path in found.items():
        yield key, 1, {**_of_folder(key, wanted), **_picture(path, wanted)}


def _named(
    found: Mapping[str, Path], tables: Mapping[str, Records], wanted: Wanted, notes: Notes
) -> Iterator[tuple[str, int, dict[str, Any]]]:
    named = set[str]()
    for table, records in tables.items():
        for number, record in records:
            name = record.get(FILE_NAME)
            key = normpath(f"{PurePosixPath(table).parent}/{name}")
            if key not in found:
                raise bad_data(
                    f"{table} line {number}: {FILE_NAME} is {name!r}, but the source has no picture '{key}': it must "
                    "be its path from the table's folder"
                )
            named.add(key)
            yield table, number, {**_of_folder(key, wanted), **record, **_picture(found[key], wanted)}
    if len(named) < len(found):
        notes.add(f"{len(found) - len(named)} pictures are left out, as no line of {', '.join(tables)} names them")


def _of_folder(key: str, wanted: Wanted) -> dict[str, Any]:
    """The class that the folder of a picture stands for."""
    folder, label = PurePosixPath(key).parent.name, wanted.columns.get("label")
    return {label: folder} if label and folder and folder.lower() not in SPLITS else {}


def _picture(path: Path, wanted: Wanted) -> dict[str, Any]:
    return {wanted.columns[wanted.picture]: path.read_bytes()}


def _note_others(
    files: Mapping[str, Path], found: Mapping[str, Path], tables: Mapping[str, Records], notes: Notes
) -> None:
    others = len(files) - len(found) - len(tables)
    if others:
        notes.add(f"{others} files of the source are neither pictures nor {' or '.join(TABLES)}: they are passed over")
    splits = sorted({part for key in found for part in PurePosixPath(key).parts[:-1] if part.lower() in SPLITS})
    if splits:
        notes.add(f"folders {', '.join(splits)} do not decide the split: spec.prepare does, over all rows")
