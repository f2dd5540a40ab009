"""Progress on the terminal: every long step with its seconds, the slowest ones again at the end."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

HEARTBEAT_SECONDS = 20.0
_started = time.monotonic()
_durations: list[tuple[float, str]] = []


def note(text: str) -> None:
    """Print one line with the seconds since the start; standard output stays free for results."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, say now and then that it still runs, and remember how long it took."""
    note(title)
    begin = time.monotonic()
    done = threading.Event()
    threading.Thread(target=_heartbeat, args=(title, begin, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()
        _durations.append((time.monotonic() - begin, title))
    note(f"{title}: done in {time.monotonic() - begin:.1f} s")


def _heartbeat(title: str, begin: float, done: threading.Event) -> None:
    while not done.wait(HEARTBEAT_SECONDS):
        note(f"  still at it: {title} ({time.monotonic() - begin:.0f} s)")


def summary(count: int = 6) -> None:
    """Print the slowest steps."""
    if not _durations:
        return
    note("slowest steps:")
    for seconds, title in sorted(_durations, reverse=True)[:count]:
        print(f"  {seconds:8.1f} s  {title}", file=sys.stderr)
