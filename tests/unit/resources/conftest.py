"""Every decision that a test of the reconcilers makes keeps the rules of conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.decision import Decision
from tests import failure_modes

checked: set[str] = set()


@pytest.fixture(autouse=True)
def conditions_keep_the_rules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    make = Decision.__init__

    def make_and_check(self: Decision, *words: Any, **fields: Any) -> None:
        make(self, *words, **fields)
        if self.status is not None:
            _check(self.status)

    monkeypatch.setattr(Decision, "__init__", make_and_check)
    yield


def _check(status: dict[str, Any]) -> None:
    """Once for the same conditions: the random scenarios repeat themselves."""
    key = json.dumps([[c["type"], c["status"], c["reason"], len(c["message"])] for c in status["conditions"]])
    if key in checked:
        return
    generation = status["observedGeneration"]
    failure_modes.check({"kind": "FineTuneJob", "metadata": {"generation": generation}, "status": status})
    checked.add(key)
