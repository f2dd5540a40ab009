"""The table of docs/failure-modes.md, and the rules that conditions of every object keep."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from modelyard import names
from tests import argocd

PAGE = Path(__file__).parents[1] / "docs/failure-modes.md"
MESSAGE_LIMIT = 1024
POLARITY = {"Ready", "Verified"}
"""May be there with another status than True; then something is not fine."""


@cache
def rows() -> dict[str, tuple[str, ...]]:
    """Reason -> the other cells of its row."""
    found: dict[str, tuple[str, ...]] = {}
    for line in PAGE.read_text().splitlines():
        match = re.match(r"\| `(\w+)` \| (.*) \|$", line)
        if match:
            assert match[1] not in found, f"{PAGE.name} has two rows for {match[1]}"
            found[match[1]] = tuple(match[2].split(" | "))
    return found


@cache
def allowed_health(reason: str) -> set[str]:
    """What Argo CD may show for a reason."""
    assert reason in rows(), f"reason {reason} has no row in docs/failure-modes.md: add one"
    return set(rows()[reason][1].split(", then "))


def check(obj: dict[str, Any]) -> None:
    """Conditions as the API promises them, and the health that the table promises for their reason."""
    held = {condition["type"]: condition for condition in obj["status"]["conditions"]}
    assert len(held) == len(obj["status"]["conditions"]), held
    for condition in held.values():
        assert condition["status"] == "True" or condition["type"] in POLARITY, condition
        assert condition["reason"] and condition["message"], condition
        assert len(condition["message"]) <= MESSAGE_LIMIT, condition
    fine = held[names.READY]["status"] == "True" and names.STALLED not in held
    assert not fine or all(condition["status"] == "True" for condition in held.values()), held
    assert not {names.STALLED, names.RECONCILING} <= set(held), held
    decisive = held.get(names.STALLED) or held.get(names.RECONCILING) or held[names.READY]
    assert argocd.health(obj)[0] in allowed_health(decisive["reason"]), (argocd.health(obj), decisive)
