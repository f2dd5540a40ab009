"""Version numbers: every run has its own, and none is ever given twice."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.storage.claims import claim_number, claimant, claimed_numbers, spend_number
from modelyard.storage.errors import Missing
from modelyard.storage.store import Entry, Store
from tests.storage.conftest import connect


def claim(store: Store, bucket: str, run: str, model: str = "reviews") -> int:
    return claim_number(store, bucket, "team", model, run)


def test_numbers_start_at_one_and_follow_each_other(store: Store, bucket: str) -> None:
    assert [claim(store, bucket, run) for run in ("a", "b", "c")] == [1, 2, 3]
    assert claimed_numbers(store, bucket, "team", "reviews") == [1, 2, 3]


def test_a_run_gets_its_number_back(store: Store, bucket: str) -> None:
    numbers = {run: claim(store, bucket, run) for run in ("a", "b", "c")}
    assert {run: claim(store, bucket, run) for run in ("c", "a", "b")} == numbers


def test_a_spent_number_is_never_given_again(store: Store, bucket: str) -> None:
    for run in ("a", "b"):
        claim(store, bucket, run)
    spend_number(store, bucket, "team", "reviews", 2)
    spend_number(store, bucket, "team", "reviews", 2)
    assert [claim(store, bucket, run) for run in ("b", "c", "b", "a")] == [3, 4, 3, 1]
    assert claimant(store, bucket, "team", "reviews", 2) == "b"


def test_models_and_namespaces_count_for_themselves(store: Store, bucket: str) -> None:
    claim(store, bucket, "a")
    assert claim(store, bucket, "b", model="reviews-2") == 1
    assert claim_number(store, bucket, "other", "reviews", "c") == 1


def test_nobody_claimed_it(store: Store, bucket: str) -> None:
    with pytest.raises(Missing):
        claimant(store, bucket, "team", "reviews", 1)


def test_twenty_at_once_get_distinct_numbers(minio: MinioServer, bucket: str) -> None:
    runs = [f"run-{n}" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda run: claim(connect(minio), bucket, run), runs))
    assert sorted(numbers) == list(range(1, 21))


def test_one_run_asking_many_times_at_once_gets_one_number(minio: MinioServer, bucket: str) -> None:
    runs = [f"run-{n % 4}" for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        numbers = list(pool.map(lambda run: claim(connect(minio), bucket, run), runs))
    assert len(set(zip(runs, numbers, strict=True))) == 4
    assert sorted(set(numbers)) == [1, 2, 3, 4]


@pytest.mark.parametrize(("md5", "gets"), [(True, 2), (False, 31)], ids=["md5-etags", "other-etags"])
def test_earlier_claims_are_not_read_one_by_one(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch, md5: bool, gets: int
) -> None:
    for number in range(30):
        claim_number(store, bucket, "team", "m", f"run-{number}")
    asked: list[str] = []
    get, entries = Store.get, Store.list

    def counted(self: Store, bucket: str, key: str) -> bytes:
        asked.append(key)
        return get(self, bucket, key)

    def opaque(self: Store, bucket: str, prefix: str) -> list[Entry]:
        return [replace(entry, etag=f"x{entry.etag}") for entry in entries(self, bucket, prefix)]

    monkeypatch.setattr(Store, "get", counted)
    monkeypatch.setattr(Store, "list", entries if md5 else opaque)
    assert claim_number(store, bucket, "team", "m", "run-30") == 31
    assert len(asked) <= gets
    assert claim_number(store, bucket, "team", "m", "run-4") == 5
