"""From a folder of verified files to something that answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from tokenizers import Tokenizer

from modelyard.api.run import ModelInfo
from modelyard_server.files import MODEL, TOKENIZER, check_files, check_served, read_manifest
from modelyard_trainer.machine import cpu_limit
from modelyard_trainer.tasks import TASKS, TaskModule


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version in memory; the tokenizer cuts but does not pad."""

    info: ModelInfo
    task: TaskModule
    tokenizer: Tokenizer
    pad_id: int
    session: Any


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
    task = TASKS[info.task]
    with _loading(TOKENIZER):
        tokenizer = task.load_tokenizer(folder, info.max_length)
    pad_id = int((tokenizer.padding or {}).get("pad_id", 0))
    tokenizer.no_padding()  # threads share the tokenizer, so nothing may set and unset its padding later
    with _loading(MODEL):
        session = make_session(folder / MODEL, cpu_limit())
    return Loaded(info, task, tokenizer, pad_id, session)


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as fault:
        raise RuntimeError(
            f"cannot load {name}: {fault}: the published file is at fault, train a new version"
        ) from fault


def make_session(path: Path, threads: int) -> Any:
    """An ONNX Runtime session on the CPU that uses at most `threads` threads per request."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning threads would burn the pod's CPU quota between two requests.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
