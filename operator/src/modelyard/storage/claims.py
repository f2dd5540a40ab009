"""Version numbers: claimed in the store, one writer wins, never reused."""

from __future__ import annotations

import json

from modelyard.api import layout
from modelyard.storage.errors import AlreadyExists
from modelyard.storage.store import Store


def claim_number(store: Store, bucket: str, namespace: str, model: str, run: str) -> int:
    """The run's own number if it has one, else the next free one; safe against any number of claimants."""
    taken = claimed_numbers(store, bucket, namespace, model)
    for number in sorted(taken):
        if claimant(store, bucket, namespace, model, number) == run:
            return number
    number = max(taken, default=0)
    while True:
        number += 1
        try:
            store.put(bucket, layout.number_key(namespace, model, number), _claim(run), if_absent=True)
            return number
        except AlreadyExists:
            if claimant(store, bucket, namespace, model, number) == run:
                return number


def claimed_numbers(store: Store, bucket: str, namespace: str, model: str) -> list[int]:
    """All numbers that were ever claimed for a model."""
    prefix = layout.numbers_prefix(namespace, model)
    tails = (entry.key.removeprefix(prefix) for entry in store.list(bucket, prefix))
    return [int(tail) for tail in tails if tail.isdigit()]


def claimant(store: Store, bucket: str, namespace: str, model: str, number: int) -> str:
    """The run that claimed a number; Missing if nobody did."""
    data = store.get(bucket, layout.number_key(namespace, model, number))
    return str(json.loads(data).get("run", ""))


def _claim(run: str) -> bytes:
    return json.dumps({"run": run}).encode()
