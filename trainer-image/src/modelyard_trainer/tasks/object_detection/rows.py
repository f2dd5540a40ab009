"""Rows of a picture and the objects in it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelyard.api.dataset import Clean
from modelyard_trainer.data.clean import normal
from modelyard_trainer.data.labels import label_of
from modelyard_trainer.tasks import images
from modelyard_trainer.tasks.cells import plain
from modelyard_trainer.tasks.protocols import Fields, Instance

if TYPE_CHECKING:
    import pyarrow as pa

OBJECTS = "objects"
MOST = 1000
"""Objects of a picture."""


def schema() -> pa.Schema:
    """The picture's file as it came; per object its box [x, y, width, height] in pixels, and its class."""
    import pyarrow as pa

    one = pa.struct([("box", pa.list_(pa.float64())), ("label", pa.string())])
    return pa.schema([(images.KEY, pa.binary()), (OBJECTS, pa.list_(one))])


def fields(record: Mapping[str, Any], columns: Mapping[str, str]) -> Fields | None:
    """The row of a record; None without picture or list; ValueError for what cannot be read.

    A list may be empty: that nothing is to be found is learnt too.
    """
    picture = images.cell(columns[images.KEY], record.get(columns[images.KEY]))
    column = columns[OBJECTS]
    found = listed(column, record.get(column))
    if not picture or found is None:
        return None
    if len(found) > MOST:
        raise ValueError(f"column {column} has {len(found)} objects: at most {MOST} are possible")
    size = images.opened(picture).size
    return {images.KEY: picture, OBJECTS: [_object(column, number, one, size) for number, one in enumerate(found, 1)]}


def listed(column: str, value: Any) -> list[Any] | None:
    """Objects of a cell: a list of {box, label}, JSON of it, or {bbox: [...], categories: [...]}; None if empty."""
    if isinstance(value, str):
        try:
            value = json.loads(value) if value.strip() else None
        except ValueError as fault:
            raise ValueError(f"column {column} is not JSON ({fault})") from fault
    if isinstance(value, Mapping):
        boxes, names = (value.get(one) or value.get(other) for one, other in (("bbox", "boxes"), CATEGORIES))
        if boxes is None and names is None and not {"bbox", "boxes"} & value.keys():
            raise ValueError(f"column {column} has no bbox: {FORM}")
        boxes, names = boxes or [], names or []
        if len(boxes) != len(names):
            raise ValueError(f"column {column} has {len(boxes)} boxes and {len(names)} classes")
        return [{"box": box, "label": name} for box, name in zip(boxes, names, strict=True)]
    if value is None or value != value:
        return None
    if not isinstance(value, Sequence):
        raise ValueError(f"column {column} is {type(value).__name__}: {FORM}")
    return list(value)


CATEGORIES = ("categories", "category")
FORM = 'write [{"box": [x, y, width, height], "label": "cat"}, ...] in pixels'


def _object(column: str, number: int, value: Any, size: tuple[int, int]) -> dict[str, Any]:
    """Box and class; what of the box lies outside of the picture is cut off."""
    where = f"column {column}: object {number}"
    if not isinstance(value, Mapping) or not {"box", "label"} <= value.keys():
        raise ValueError(f"{where} has no box or no label: {FORM}")
    label = label_of(plain(column, value["label"]))
    if not label:
        raise ValueError(f"{where} has an empty label: {FORM}")
    try:
        x, y, width, height = (float(number) for number in value["box"])
    except (TypeError, ValueError) as fault:
        raise ValueError(f"{where} has the box {value['box']!r}: {FORM}") from fault
    if not all(map(math.isfinite, (x, y, width, height))) or width <= 0 or height <= 0:
        raise ValueError(f"{where} has the box {value['box']!r}: width and height must be positive numbers")
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(size[0]), x + width), min(float(size[1]), y + height)
    if right <= left or bottom <= top:
        raise ValueError(f"{where} has the box {value['box']!r}, outside of the {size[0]} x {size[1]} pixels")
    return {"box": [left, top, right - left, bottom - top], "label": label}


def cleaned(row: Fields, step: Clean) -> Fields | str:
    """Classes in the step's Unicode form; pictures stay as they are."""
    return {**row, OBJECTS: [{**one, "label": normal(one["label"], step)} for one in row[OBJECTS]]}


def same(row: Fields) -> bytes:
    """The same file asks the same."""
    return hashlib.sha256(row[images.KEY]).digest()


def classes(row: Fields) -> tuple[str, ...]:
    """Each class of which there is an object."""
    return tuple(sorted({one["label"] for one in row[OBJECTS]}))


def relabelled(row: Fields, spelt: Mapping[str, str]) -> Fields:
    """The row with its classes as they are spelt."""
    objects = [{**one, "label": spelt.get(one["label"], one["label"])} for one in row[OBJECTS]]
    return {**row, OBJECTS: objects}


def instance(row: Fields) -> Instance:
    """The picture."""
    return images.in_base64(row[images.KEY])
