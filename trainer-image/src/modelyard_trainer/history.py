"""The course of training: JSON lines and TensorBoard files, mirrored to the store while the run lasts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard_trainer.background import Repeating

INTERVAL = 15.0
"""Seconds between two uploads."""


class History:
    """Writes below `folder`; `upload` takes a file and its name below the run's prefix."""

    def __init__(self, folder: Path, upload: Callable[[Path, str], None], earlier: list[str]) -> None:
        self._path = folder / "history.jsonl"
        self._path.write_text("".join(f"{line}\n" for line in earlier))
        self._events = folder / "tensorboard"
        self._events.mkdir(exist_ok=True)
        self._upload = upload
        self._sent: dict[Path, int] = {}
        self._writer = _event_writer(self._events)
        self._thread = Repeating("history", INTERVAL, self._mirror)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add one line and its TensorBoard scalars."""
        with self._path.open("a") as stream:
            stream.write(json.dumps({"step": step, "at": round(time.time(), 1), **values}) + "\n")
        self._writer.add_event(_event(step, values))

    def close(self) -> None:
        """Upload what is left."""
        self._writer.close()
        self._thread.close(timeout=10.0)

    def _mirror(self) -> None:
        files = {path: f"tensorboard/{path.name}" for path in self._events.iterdir()}
        for path, name in {self._path: self._path.name, **files}.items():
            size = path.stat().st_size
            if size and size != self._sent.get(path):
                self._upload(path, name)
                self._sent[path] = size


def lines_until(history: str, step: int) -> list[str]:
    """Lines of an earlier pod up to the step that this one goes on from."""
    return [line for line in history.splitlines() if _step(line) <= step]


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _event_writer(folder: Path) -> Any:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(str(folder), flush_secs=10)


def _event(step: int, values: dict[str, float]) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
    return Event(wall_time=time.time(), step=step, summary=Summary(value=scalars))
