from __future__ import annotations

from datetime import UTC, datetime, timedelta

from modelyard import names
from modelyard.resources.clock import begun, stamp
from modelyard.resources.pods import Fault
from modelyard.resources.recheck import LASTING, recheck

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
FAULT = Fault(names.CORRUPT, "model.onnx differs", final=True)


def test_the_same_word_counts_only_when_it_has_stood() -> None:
    since, wait = recheck(None, FAULT, NOW)
    assert since == stamp(NOW)
    assert wait is not None and wait.wake_after == LASTING and "model.onnx differs" in wait.verdict.message
    assert recheck(since, FAULT, NOW + timedelta(seconds=LASTING - 1))[1] is not None
    assert recheck(since, FAULT, NOW + timedelta(seconds=LASTING)) == (since, None)


def test_a_moment_still_to_come_was_a_wrong_clocks() -> None:
    assert begun(stamp(NOW + timedelta(hours=2)), NOW) == stamp(NOW)
    assert begun(stamp(NOW - timedelta(hours=2)), NOW) == stamp(NOW - timedelta(hours=2))
