"""Rows of a picture and its class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.labels import label_of
from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa


def schema() -> pa.Schema:
    """Class, and the picture's file as it came."""
    import pyarrow as pa

    return pa.schema([("label", pa.string()), (images.KEY, pa.binary())])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """The row of a record; None without picture or class; ValueError for a picture that cannot be read."""
    picture = images.cell(columns[images.KEY], record.get(columns[images.KEY]))
    label = label_of(plain(columns["label"], record.get(columns["label"])))
    return {"label": label, images.KEY: picture} if picture and label else None


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """The class in the step's Unicode form; pictures stay as they are."""
    label = normal(row["label"], step)
    return {**row, "label": label} if label else "empty"


def same(row: Fields) -> bytes:
    """The same file asks the same."""
    return hashlib.sha256(row[images.KEY]).digest()


def classes(row: Fields) -> tuple[str, ...]:
    """The one class."""
    return (row["label"],)


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row with its class as it is spelt."""
    return {**row, "label": spelt.get(row["label"], row["label"])}


def instance(row: Fields) -> Instance:
    """The picture."""
    return images.in_base64(row[images.KEY])
