"""Version numbers: claimed in the store, one writer wins, never reused."""

from __future__ import annotations

import hashlib
import json

from modelyard.api import layout
from modelyard.storage.errors import AlreadyExists
from modelyard.storage.store import Store


def claim_number(store: Store, bucket: str, namespace: str, model: str, run: str) -> int:
    """The run's own number if it has one that is not spent, else the next; safe against any number of claimants."""
    taken, spent = _numbers(store, bucket, namespace, model)
    own = _own(store, bucket, layout.numbers_prefix(namespace, model), (taken, spent), run)
    if own is not None:
        return own
    number = max(taken, default=0)
    while True:
        number += 1
        try:
            store.put(bucket, layout.number_key(namespace, model, number), _claim(run), if_absent=True)
            return number
        except AlreadyExists:
            if claimant(store, bucket, namespace, model, number) == run:
                return number


def number_of(store: Store, bucket: str, namespace: str, model: str, run: str) -> int | None:
    """The number that a run has claimed and that is not spent, None if there is none."""
    prefix = layout.numbers_prefix(namespace, model)
    return _own(store, bucket, prefix, _numbers(store, bucket, namespace, model), run)


def claimed_numbers(store: Store, bucket: str, namespace: str, model: str) -> list[int]:
    """All numbers that were ever claimed for a model, in order."""
    return sorted(_numbers(store, bucket, namespace, model)[0])


def spend_number(store: Store, bucket: str, namespace: str, model: str, number: int) -> None:
    """Keep a number from ever being given again, also to its run; to be called before its artifacts are deleted."""
    store.put(bucket, layout.spent_key(namespace, model, number), b"")


def claimant(store: Store, bucket: str, namespace: str, model: str, number: int) -> str:
    """The run that claimed a number; Missing if nobody did."""
    return _claimant(store, bucket, layout.number_key(namespace, model, number))


def _claimant(store: Store, bucket: str, key: str) -> str:
    return str(json.loads(store.get(bucket, key)).get("run", ""))


def _own(store: Store, bucket: str, prefix: str, found: tuple[dict[int, str], set[int]], run: str) -> int | None:
    """The run's number of those that are taken and not spent."""
    taken, spent = found
    unspent = {number: etag for number, etag in taken.items() if number not in spent}
    likely = _likely(store, bucket, prefix, unspent, run)
    return next((number for number in likely if _claimant(store, bucket, f"{prefix}{number}") == run), None)


def _likely(store: Store, bucket: str, prefix: str, claims: dict[int, str], run: str) -> list[int]:
    """Numbers that may be the run's, newest first: by etag where it is the md5 of a claim, else all of them."""
    numbers = sorted(claims, reverse=True)
    if numbers and claims[numbers[0]] == _md5(store.get(bucket, f"{prefix}{numbers[0]}")):
        return [number for number in numbers if claims[number] == _md5(_claim(run))]
    return numbers


def _numbers(store: Store, bucket: str, namespace: str, model: str) -> tuple[dict[int, str], set[int]]:
    """Etags of the claims by number, and the numbers that are spent."""
    prefix = layout.numbers_prefix(namespace, model)
    tails = [(entry.key.removeprefix(prefix).split("."), entry.etag) for entry in store.list(bucket, prefix)]
    taken = {int(tail[0]): etag for tail, etag in tails if len(tail) == 1 and tail[0].isdigit()}
    return taken, {int(tail[0]) for tail, _ in tails if tail[0].isdigit() and tail[1:] == ["spent"]}


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _claim(run: str) -> bytes:
    return json.dumps({"run": run}).encode()
