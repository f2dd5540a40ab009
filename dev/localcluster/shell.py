"""Running commands of the system."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL_LINES = 40


class CommandFailedError(RuntimeError):
    """A command of the system did not succeed."""


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """Run a command and return its standard output; its last lines are in the error if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        env={**os.environ, **(environment or {})},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = (done.stdout + done.stderr).splitlines()[-TAIL_LINES:]
        raise CommandFailedError(f"{_title(command)} ended with {done.returncode}:\n" + "\n".join(tail))
    return done.stdout


def attempt(command: Sequence[str | Path], stdin: str | None = None) -> bool:
    """Run a command whose failure is an answer, not an error."""
    try:
        run(command, stdin=stdin)
    except (CommandFailedError, FileNotFoundError):
        return False
    return True


def run_logged(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a long command with its output in a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        code = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            check=False,
        ).returncode
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        raise CommandFailedError(f"{_title(command)} ended with {code}; log {log}:\n{tail}")


def _title(command: Sequence[str | Path]) -> str:
    return " ".join(str(part) for part in command[:4])
