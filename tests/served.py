"""What a ModelDeployment says about its versions, for tests of every lane."""

from __future__ import annotations

from typing import Any

from modelyard.api.modeldeployment import SERVING, version_in

Manifest = dict[str, Any]


def number_in(obj: Manifest | None, state: str = SERVING) -> int | None:
    """Number of the first version in a state; None if there is none, or no object."""
    return version_in((obj or {}).get("status", {}), state).get("number")
