"""Moments as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def stamp(now: datetime) -> str:
    """UTC, whole seconds."""
    return now.astimezone(UTC).strftime(FORMAT)


def elapsed(since: str, now: datetime) -> float:
    """Seconds since a moment; 0 for one that is unreadable or still to come."""
    try:
        then = datetime.strptime(since, FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return max(0.0, (now - then).total_seconds())


def begun(since: str | None, now: datetime) -> str:
    """Since when something goes on: from now if that is new; a moment still to come was a wrong clock's."""
    return min(since or stamp(now), stamp(now))
