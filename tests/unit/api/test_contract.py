"""A run asks for the least contract that its config needs."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api import run
from modelyard.api.run import PrepareConfig, needed_contract

CONFIG = {
    "kind": "prepare", "name": "rows", "prefix": "ns/a/", "store": {"endpoint": "http://s:9000", "bucket": "b"},
    "task": "text-classification", "source": {"s3": {"uri": "s3://data/rows.jsonl"}}, "steps": [],
}  # fmt: skip


def config(**changes: Any) -> PrepareConfig:
    return PrepareConfig.model_validate({**CONFIG, **changes})


def test_nothing_new_needs_the_first() -> None:
    assert needed_contract(config()) == 1 <= run.CONTRACT
    assert max(run.CONTRACT_OF.values(), default=1) == run.CONTRACT


def test_a_later_field_counts_only_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(run.CONTRACT_OF, "source.s3.endpoint", 3)
    monkeypatch.setitem(run.CONTRACT_OF, "source.s3.region", 4)
    assert needed_contract(config()) == 1
    assert needed_contract(config(source={"s3": {"uri": "s3://data/r", "endpoint": "http://o:9000"}})) == 3
