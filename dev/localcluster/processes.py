"""Long-running processes that outlive the command that started them, known by pid and start time."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dev.localcluster.layout import state

LOG_LIMIT = 20_000_000
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The identity of a process that lives now; start 0 if it does not."""
        fields = _stat(pid)
        return cls(pid, int(fields[19]) if fields else 0)

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        fields = _stat(self.pid)
        return bool(fields) and fields[0] != "Z" and int(fields[19]) == self.start_ticks

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it is still the same one."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return


class Daemon:
    """A process with a pid file and a log file in the state folder."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = state("logs", f"{name}.log")
        self._record = state("run", f"{name}.json")

    def start(self, command: Sequence[str | Path]) -> None:
        """Start in a session of its own, so that the calling shell may end."""
        words = [str(word) for word in command]
        for file in (self.log, self._record):
            file.parent.mkdir(parents=True, exist_ok=True)
        fresh = not self.log.exists() or self.log.stat().st_size > LOG_LIMIT
        with self.log.open("wb" if fresh else "ab") as output:
            child = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
        _children.append(child)
        record = {**asdict(Identity.of(child.pid)), "boot": _BOOT.read_text().strip(), "command": words}
        self._record.write_text(json.dumps(record))

    def identity(self) -> Identity | None:
        """The process as it was recorded, if it still runs."""
        record = self._read()
        if record.get("boot") != _BOOT.read_text().strip():
            return None
        identity = Identity(int(record["pid"]), int(record["start_ticks"]))
        _reap()
        return identity if identity.alive() else None

    def runs(self, command: Sequence[str | Path]) -> bool:
        """Whether the process runs, with this very command."""
        same = self._read().get("command") == [str(word) for word in command]
        return self.identity() is not None and same

    def stop(self, grace: float, first: signal.Signals = signal.SIGTERM) -> bool:
        """Stop the process if it is ours and runs; say whether there was anything to stop."""
        identity = self.identity()
        if identity:
            identity.send(first)
            end_all([identity], grace)
        self._record.unlink(missing_ok=True)
        return identity is not None

    def _read(self) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self._record.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return content


def end_all(processes: Iterable[Identity], grace: float) -> None:
    """Wait for processes that were asked to end, then kill those that did not."""
    left = list(processes)
    if _wait_gone(left, grace):
        return
    for process in left:
        process.send(signal.SIGKILL)
    _wait_gone(left, 5)


def with_argument(text: str) -> list[Identity]:
    """The processes that carry `text` as one of their arguments."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if text.encode() in words and int(folder.name) != os.getpid():
            found.append(Identity.of(int(folder.name)))
    return found


def descendants(ancestors: Iterable[Identity]) -> list[Identity]:
    """All processes below the given ones."""
    wanted = {process.pid for process in ancestors}
    parents = {int(folder.name): _parent(int(folder.name)) for folder in Path("/proc").glob("[0-9]*")}
    below: set[int] = set()
    while fresh := {pid for pid, parent in parents.items() if parent in wanted | below} - below:
        below |= fresh
    return [Identity.of(pid) for pid in below]


def _wait_gone(processes: Sequence[Identity], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while any(process.alive() for process in processes):
        _reap()
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _reap() -> None:
    for child in _children:
        child.poll()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of a process after its name, which may hold anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
