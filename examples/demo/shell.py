"""Run commands: output to a log, the last lines of it when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class CommandError(RuntimeError):
    """A command ended with an error; the message has its last lines."""


def cache_folder() -> Path:
    """Where downloads are kept between runs, outside the clone."""
    given = os.environ.get("MODELYARD_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else base / "modelyard"


def run(
    words: Sequence[str | Path], *, stdin: str | None = None, env: Mapping[str, str] | None = None, echo: bool = False
) -> str:
    """Run a command at the root of the clone and give its standard output."""
    done = subprocess.run(
        [str(word) for word in words],
        input=stdin,
        env={**os.environ, **(env or {})},
        cwd=ROOT,
        text=True,
        stdout=None if echo else subprocess.PIPE,
        stderr=None if echo else subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(((done.stdout or "") + (done.stderr or "")).strip().splitlines()[-15:])
        raise CommandError(f"`{' '.join(map(str, words))}` ended with {done.returncode}:\n{tail}")
    return done.stdout or ""
