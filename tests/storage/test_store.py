"""One connection: clear faults, patience, and deletion that never leaves a manifest without its files."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import urllib3

from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from modelyard.storage.errors import AlreadyExists, Corrupt, Denied, Missing, StoreError, Unavailable
from modelyard.storage.store import Store
from tests.storage.conftest import connect


def calls(store: Store, bucket: str, tmp_path: Path) -> list[Any]:
    source = tmp_path / "file.json"
    source.write_text("{}")
    return [
        lambda: store.get(bucket, "key"),
        lambda: store.put(bucket, "key", b"data"),
        lambda: store.put(bucket, "key", b"data", if_absent=True),
        lambda: store.list(bucket, ""),
        lambda: store.upload(bucket, "key", source),
        lambda: list(store.chunks(bucket, "key")),
        lambda: store.delete_prefix(bucket, "a/"),
    ]


def all_raise(store: Store, bucket: str, tmp_path: Path, fault: type[StoreError]) -> None:
    for call in calls(store, bucket, tmp_path):
        with pytest.raises(fault):
            call()


def test_a_wrong_key_is_denied(minio: MinioServer, bucket: str, tmp_path: Path) -> None:
    wrong = connect(minio, secret_key="not-the-secret-key", patience=60)
    all_raise(wrong, bucket, tmp_path, Denied)
    with pytest.raises(Denied):
        wrong.stat(bucket, "key")


def test_an_unknown_key_is_denied(minio: MinioServer, bucket: str, tmp_path: Path) -> None:
    all_raise(Store.connect(minio.url, "nobody", "not-the-secret-key"), bucket, tmp_path, Denied)


def test_no_bucket_is_missing(store: Store, tmp_path: Path) -> None:
    all_raise(store, "no-such-bucket", tmp_path, Missing)


def test_a_closed_port_is_unavailable(tmp_path: Path) -> None:
    closed = Store.connect(f"http://127.0.0.1:{free_port()}", "key", "secret-key")
    all_raise(closed, "bucket", tmp_path, Unavailable)


def test_messages_name_what_and_where(minio: MinioServer, bucket: str) -> None:
    with pytest.raises(Missing, match=rf"cannot read s3://{bucket}/a/key at {minio.url}: NoSuchKey"):
        connect(minio).get(bucket, "a/key")


def test_no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(Denied, match="AWS_ACCESS_KEY_ID"):
        Store.from_environment("http://127.0.0.1:9")


def test_a_local_fault_is_not_the_stores(store: Store, bucket: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.upload(bucket, "key", tmp_path / "absent")


def test_reading_and_writing(store: Store, bucket: str) -> None:
    etag = store.put(bucket, "a/key", b"data")
    found = store.stat(bucket, "a/key")
    assert found is not None
    assert (found.size, found.etag) == (4, etag)
    assert store.get(bucket, "a/key") == b"".join(store.chunks(bucket, "a/key", 3)) == b"data"
    assert store.stat(bucket, "a/other") is None
    assert [entry.key for entry in store.list(bucket, "a/")] == ["a/key"]


def test_if_absent_refuses_the_second(store: Store, bucket: str) -> None:
    store.put(bucket, "key", b"first", if_absent=True)
    with pytest.raises(AlreadyExists):
        store.put(bucket, "key", b"second", if_absent=True)
    assert store.get(bucket, "key") == b"first"


def test_a_prefix_is_deleted_manifests_first(store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a/manifest.json", "a/b/file", "a/b/manifest.json", "ab/file"):
        store.put(bucket, key, b"")
    batches: list[Sequence[str]] = []
    original = Store._delete

    def delete(self: Store, bucket: str, keys: Sequence[str]) -> None:
        batches.append(keys)
        original(self, bucket, keys)

    monkeypatch.setattr(Store, "_delete", delete)
    assert store.delete_prefix(bucket, "a/") == 3
    assert batches == [["a/b/manifest.json", "a/manifest.json"], ["a/b/file"]]
    assert [entry.key for entry in store.list(bucket, "")] == ["ab/file"]
    with pytest.raises(ValueError, match="must end in '/'"):
        store.delete_prefix(bucket, "a")


def test_patience_rides_over_a_restart(bucket: str) -> None:
    with MinioServer() as server:
        patient = connect(server, patience=30)
        patient.ensure_bucket(bucket)
        patient.put(bucket, "key", b"data")
        server.stop()
        with pytest.raises(Unavailable):
            connect(server).get(bucket, "key")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(patient.get, bucket, "key")
            time.sleep(0.5)
            server.start()
            assert asked.result() == b"data"
        patient.put(bucket, "key", b"new")


def test_patience_ends() -> None:
    closed = Store.connect(f"http://127.0.0.1:{free_port()}", "key", "secret-key", patience=0.5)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        closed.get("bucket", "key")
    assert 0.5 <= time.monotonic() - started < 5


class Broken:
    """A response that ends in mid-stream."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, size: int) -> Iterator[bytes]:
        yield self._data
        raise urllib3.exceptions.ProtocolError("connection broken")

    def close(self) -> None: ...

    def release_conn(self) -> None: ...


def test_a_broken_stream_goes_on_where_it_ended(
    minio: MinioServer, store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = connect(minio, patience=10)
    patient.put(bucket, "key", bytes(range(100)))
    original, answers = patient._client.get_object, [Broken(bytes(range(30))), Broken(bytes(range(30, 31)))]
    monkeypatch.setattr(patient._client, "get_object", lambda *a, **o: answers.pop(0) if answers else original(*a, **o))
    assert b"".join(patient.chunks(bucket, "key")) == bytes(range(100))


def test_a_broken_stream_without_patience_is_unavailable(
    store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store._client, "get_object", lambda *a, **o: Broken(b"half"))
    with pytest.raises(Unavailable, match="connection broken"):
        list(store.chunks(bucket, "key"))


def test_an_object_too_large_to_hold(store: Store, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard.storage.store.WHOLE", 10)
    store.put(bucket, "fits", b"x" * 10)
    store.put(bucket, "does-not", b"x" * 11)
    assert store.get(bucket, "fits") == b"x" * 10
    with pytest.raises(Corrupt, match="has more than 10 bytes"):
        store.get(bucket, "does-not")


def test_the_first_of_a_listing(store: Store, bucket: str) -> None:
    for number in range(5):
        store.put(bucket, f"many/{number}", b"x")
    assert [entry.key for entry in store.list(bucket, "many/", 3)] == ["many/0", "many/1", "many/2"]
