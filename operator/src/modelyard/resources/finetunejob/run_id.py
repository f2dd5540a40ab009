"""Which run a spec asks for: only hashed fields, data and base decide; a golden test holds the hashes still.

What starts a run is a change of what the user wrote; what names it is what the recipe made of that.
"""

from __future__ import annotations

import json
import re
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import DatasetRef, FineTuneJobSpec, Pinned
from modelyard.resources.remembered import remembered

LENGTH = 16
DIRECT = ("task", "objective", "method", "input", "train", "attempt")
DATA_FIELDS = ("task", "source", "prepare", "revision")


@remembered
def run_id(spec: FineTuneJobSpec, model: str, pinned: Pinned) -> str:
    """Equal for equal work: data and base enter by content, whatever their names, the rest as it is trained."""
    blocks = {"method": pinned.method.dump(), "input": pinned.input.dump(), "train": pinned.train.dump()}
    trained = {**blocks, "recipe": pinned.recipe}
    return names.short_hash(
        _json(_hashed(spec, model) | trained), pinned.dataset.digest, pinned.base.digest, length=LENGTH
    )


@remembered
def spec_hash(spec: FineTuneJobSpec, model: str) -> str:
    """Another value means that another run is asked for, also when only the Dataset is another one.

    Only what the user wrote counts: a new recipe moves none.
    """
    return names.short_hash(_json({**_hashed(spec, model), "dataset": _dataset(spec.dataset)}), length=LENGTH)


@remembered
def data_hash(spec: DatasetSpec) -> str:
    """Hash of what decides the rows of an inline dataset."""
    return names.short_hash(_json(_data(spec)))


def is_model_name(name: str) -> bool:
    """A DNS label of at most 40 characters."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name) is not None


def _hashed(spec: FineTuneJobSpec, model: str) -> dict[str, Any]:
    asked = spec.dump()
    hashed = {field: asked[field] for field in DIRECT}
    return {
        **hashed,
        "model": model,
        "from": {"base": layout.folder_uri(spec.from_.uri)},
        "export": sorted(spec.export),
    }


def _dataset(dataset: DatasetRef) -> dict[str, Any]:
    if dataset.inline is not None:
        return {"inline": _data(dataset.inline)}
    return {"ref": dataset.ref}


def _data(spec: DatasetSpec) -> dict[str, Any]:
    asked = spec.dump()
    return {field: asked[field] for field in DATA_FIELDS}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
