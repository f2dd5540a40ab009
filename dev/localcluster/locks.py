"""Locks between processes: two users of one folder wait for each other."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.localcluster.progress import note

_held: set[Path] = set()


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold a file lock; the same process may take it again inside."""
    if lock in _held:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as handle:
        _acquire(handle.fileno(), lock)
        _held.add(lock)
        try:
            yield
        finally:
            _held.discard(lock)


def _acquire(descriptor: int, lock: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note(f"waiting for another user of {lock}")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
