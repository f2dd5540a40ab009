"""From a folder of verified files to something that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelyard.api.run import ModelInfo
from modelyard.api.tasks import TASKS
from modelyard_server.files import check_files, check_served, graph_files, read_manifest
from modelyard_trainer.graphs import onnx_graph
from modelyard_trainer.machine import cpu_limit
from modelyard_trainer.tasks import load_codec
from modelyard_trainer.tasks.protocols import Codec, Graph


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory."""

    info: ModelInfo
    codec: Codec
    graphs: dict[str, Graph]


def load(folder: Path) -> Loaded:
    """Check the files once more, then load them; Corrupt, ValueError or RuntimeError if they cannot be served."""
    manifest = read_manifest(folder)
    info = check_served(manifest)
    check_files(folder, manifest)
    return opened(folder, info)


def opened(folder: Path, info: ModelInfo) -> Loaded:
    """Load the files of a folder, published or about to be; ValueError or RuntimeError if they cannot be served."""
    if info.task not in TASKS:
        raise ValueError(f"this image serves {', '.join(TASKS)}, not the task {info.task!r}: use a newer image")
    with _loading("the files beside the model"):
        codec = load_codec(info.task, folder, info.codec, info.labels)
    graphs = {}
    for path in graph_files(folder):
        with _loading(path.name):
            graphs[path.stem] = onnx_graph(path, cpu_limit())
    return Loaded(info, codec, graphs)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as fault:
        raise RuntimeError(
            f"cannot load {name}: {fault}: the published file is at fault, train a new version"
        ) from fault
