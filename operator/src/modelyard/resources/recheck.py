"""Recheck: what would end something for good on the store's word alone is looked at again some seconds later."""

from __future__ import annotations

from datetime import datetime

from modelyard import names
from modelyard.resources.clock import begun, elapsed
from modelyard.resources.pods import Fault
from modelyard.resources.waiting import Wait, moving

LASTING = 5.0
"""Seconds after which the same answer counts."""


def recheck(since: str | None, fault: Fault, now: datetime) -> tuple[str, Wait | None]:
    """Since when the store says so, and the wait for its second word; None once it has stood."""
    since = begun(since, now)
    if elapsed(since, now) >= LASTING:
        return since, None
    return since, moving(names.PUBLISHING, f"{fault.message}; looked at again before this counts", LASTING)
