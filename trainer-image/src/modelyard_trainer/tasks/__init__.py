"""What a model is for: a folder per task, with its rows, its codec and its learner (protocols.py).

Nothing of it is imported before it is asked for: the server has no torch, and preparation needs rows alone.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, cast

from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks.protocols import Codec, Learner, RowKind


def rows_of(task: str) -> RowKind:
    """What a row of the task is."""
    return cast(RowKind, _part(task, "rows"))


def learner_of(task: str) -> Learner:
    """How a model of the task is made."""
    return cast(Learner, _part(task, "learner"))


def load_codec(task: str, folder: Path, settings: dict[str, Any], labels: list[str]) -> Codec:
    """The codec of a version, from its folder and what its manifest tells of it."""
    return cast(Codec, _part(task, "codec").load(folder, settings, labels))


def _part(task: str, name: str) -> Any:
    if task not in TASKS:
        raise ValueError(f"this image knows {', '.join(TASKS)}, not the task {task!r}: use a newer image")
    if TASKS[task].foreign and name != "rows":
        raise ValueError(f"a model for {task} is trained and served by a program of its own alone")
    return import_module(f"{__name__}.{task.replace('-', '_')}.{name}")
