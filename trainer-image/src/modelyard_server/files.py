"""The files of a served version on the local disk: which ones are needed, and that they are what was published."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from modelyard.api import layout
from modelyard.api.run import FileEntry, Manifest, ModelInfo, is_of_format
from modelyard.storage.errors import Corrupt
from modelyard.storage.fetch import check_path
from modelyard.storage.publish import sha256_of

SERVED = "onnx"
GRAPH = ".onnx"
REMEDY = "start the pod anew to fetch it again"


def is_served(entry: FileEntry) -> bool:
    """Whether the server needs this file: not the torch weights, not reports."""
    return is_of_format(entry.path, SERVED)


def check_served(manifest: Manifest) -> ModelInfo:
    """What the version is; ValueError if this server cannot serve it."""
    if manifest.kind != "model":
        raise ValueError(f"this is a {manifest.kind}, not a model version: serve the version of a run")
    try:
        info = ModelInfo.model_validate(manifest.info)
    except ValidationError as fault:
        raise Corrupt(f"the manifest's info is incomplete ({fault}): train a new version") from fault
    if not any(entry.path.endswith(GRAPH) for entry in manifest.files):
        formats = ", ".join(artifact.format_ for artifact in info.artifacts)
        raise ValueError(
            f"the version has no ONNX model (formats: {formats}): "
            "set spec.export: [safetensors, onnx] in its FineTuneJob and raise spec.attempt"
        )
    return info


def graph_files(folder: Path) -> list[Path]:
    """The graphs of a version, one or several."""
    return sorted(folder.glob(f"*{GRAPH}"))


def read_manifest(folder: Path) -> Manifest:
    """The manifest that a complete fetch left; Corrupt if there is none."""
    try:
        return Manifest.model_validate_json((folder / layout.MANIFEST).read_bytes())
    except FileNotFoundError as fault:
        raise Corrupt(f"{folder} has no {layout.MANIFEST}, the fetch did not end: {REMEDY}") from fault
    except ValidationError as fault:
        raise Corrupt(f"{folder / layout.MANIFEST} is not a manifest: {REMEDY}") from fault


def check_files(folder: Path, manifest: Manifest) -> None:
    """Raise Corrupt unless every served file is on disk with its published bytes."""
    for entry in filter(is_served, manifest.files):
        check_path(entry.path)
        path = folder / entry.path
        if not path.is_file():
            raise Corrupt(f"{path} is in the manifest but not on disk: {REMEDY}")
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise Corrupt(f"{path} is not the file that was published: {REMEDY}")
