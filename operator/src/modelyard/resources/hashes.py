"""Hashes of what decides, made by numbered rules: what exists is compared under the rule that it was made with.

A rule that was released never changes. Another table, or another way to write it down, is the next number: it counts
for runs and preparations that start after it, and starts none. Fields with a birth value need no new rule.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelyard import names
from modelyard.api.dataset import DatasetSpec
from modelyard.api.deciding import DATASET, FINETUNEJOB, Table
from modelyard.resources.memoized import memoized


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Rule:
    """Which fields count, and how they are written down before they are hashed."""

    job: Table = FINETUNEJOB
    dataset: Table = DATASET
    write: Callable[[Any], str] = _canonical


RULES: dict[int, Rule] = {1: Rule()}


def newest() -> int:
    """The rule of what starts now."""
    return max(RULES)


@memoized
def dataset_hash(spec: DatasetSpec, version: int) -> str:
    """Equal for what gives equal rows; the profile and the resources have no say."""
    rule = RULES[version]
    return names.short_hash(rule.write(rule.dataset.decisive(spec.dump())))
