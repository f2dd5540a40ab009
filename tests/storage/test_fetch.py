"""A verified fetch gives exactly what was published, or a named fault."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import Manifest
from modelyard.storage import fetch
from modelyard.storage.errors import Corrupt, Missing, Unavailable
from modelyard.storage.publish import publish
from modelyard.storage.store import Store

PREFIX = "ns/team/models/reviews/runs/run-1/version/"


@pytest.fixture
def published(store: Store, bucket: str, folder: Path) -> tuple[Manifest, str]:
    return publish(store, bucket, PREFIX, folder, "model", {})


def key_of(digest: str, path: str = "model.safetensors") -> str:
    return layout.file_key(PREFIX, digest, path, "")


def test_a_flipped_byte(store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path) -> None:
    manifest, digest = published
    data = bytearray(store.get(bucket, key_of(digest)))
    data[100] ^= 1
    store.put(bucket, key_of(digest), bytes(data))
    with pytest.raises(Corrupt, match=r"model\.safetensors is not what it was"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, digest)
    assert not (tmp_path / "model.safetensors").exists()
    fetch.check_listing(store, bucket, PREFIX, manifest, digest)


@pytest.mark.parametrize("data", [b"", b"weights" * 1001])
def test_another_size(store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path, data: bytes) -> None:
    manifest, digest = published
    store.put(bucket, key_of(digest), data)
    with pytest.raises(Corrupt, match="is not what it was"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, digest)
    with pytest.raises(Corrupt, match="the manifest says 7000"):
        fetch.check_listing(store, bucket, PREFIX, manifest, digest)


def test_a_missing_file(store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path) -> None:
    manifest, digest = published
    store.delete_prefix(bucket, key_of(digest, "onnx/"))
    with pytest.raises(Corrupt, match="is gone"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path)
    with pytest.raises(Corrupt, match="has no bytes"):
        fetch.check_listing(store, bucket, PREFIX, manifest, digest)


def test_only_what_the_manifest_names_and_the_caller_wants(
    store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path
) -> None:
    _, digest = published
    store.put(bucket, key_of(digest, "extra.json"), b"{}")
    store.put(bucket, PREFIX + "extra.json", b"{}")
    fetch.fetch_verified(store, bucket, PREFIX, tmp_path / "t", digest, lambda e: not e.path.endswith(".safetensors"))
    found = sorted(path.name for path in (tmp_path / "t").rglob("*") if path.is_file())
    assert found == ["config.json", "model.onnx"]


def test_another_digest(store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path) -> None:
    with pytest.raises(Corrupt, match=f"has digest {published[1]}, expected sha256:0"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, "sha256:" + "0" * 64)


def test_nothing_published(store: Store, bucket: str) -> None:
    with pytest.raises(Missing):
        fetch.read_manifest(store, bucket, PREFIX)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"format": 2, "kind": "model", "files": []}', b"\xff"])
def test_not_a_manifest(store: Store, bucket: str, data: bytes) -> None:
    store.put(bucket, layout.manifest_key(PREFIX), data)
    with pytest.raises(Corrupt, match="is not a manifest"):
        fetch.read_manifest(store, bucket, PREFIX)


def manifest_naming(path: str) -> bytes:
    entry: dict[str, Any] = {"path": path, "size": 1, "sha256": "0" * 64}
    return json.dumps({"format": 1, "kind": "model", "files": [entry]}).encode()


@pytest.mark.parametrize(
    "path",
    ["../x.json", "a/../../x.json", "/etc/x.json", "a\\x.json", "", "x.pkl", "model.bin", "code.py", "x.json.so"],
)
def test_names_that_are_never_fetched(store: Store, bucket: str, tmp_path: Path, path: str) -> None:
    store.put(bucket, layout.manifest_key(PREFIX), manifest_naming(path))
    with pytest.raises(Corrupt, match="the manifest names a file"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path / "target")
    assert not list(tmp_path.iterdir())


def test_the_name_of_one_run_may_begin_as_another(store: Store, bucket: str, folder: Path, tmp_path: Path) -> None:
    publish(store, bucket, "runs/run-10/", folder, "model", {"run": "10"})
    (folder / "config.json").write_text('{"only": 1}')
    publish(store, bucket, "runs/run-1/", folder, "model", {"run": "1"})
    assert fetch.fetch_verified(store, bucket, "runs/run-1/", tmp_path / "1").info == {"run": "1"}
    assert json.loads((tmp_path / "1" / "config.json").read_text()) == {"only": 1}
    assert store.delete_prefix(bucket, "runs/run-1/") == 4
    assert fetch.fetch_verified(store, bucket, "runs/run-10/", tmp_path / "10").info == {"run": "10"}


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights (7000 bytes) come in seven parts, the last one shorter."""
    monkeypatch.setattr(fetch, "PART", 1023)


@pytest.mark.usefixtures("in_parts")
def test_a_large_file_in_parts(
    store: Store, bucket: str, published: tuple[Manifest, str], folder: Path, tmp_path: Path
) -> None:
    fetch.fetch_verified(store, bucket, PREFIX, tmp_path / "t", published[1])
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert (tmp_path / "t" / path.relative_to(folder)).read_bytes() == path.read_bytes()


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("at", [0, 1022, 1023, 4000, 6999])
def test_a_flipped_byte_of_a_large_file(
    store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path, at: int
) -> None:
    data = bytearray(store.get(bucket, key_of(published[1])))
    data[at] ^= 1
    store.put(bucket, key_of(published[1]), bytes(data))
    with pytest.raises(Corrupt, match=r"model\.safetensors is not what it was"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, published[1])
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("size", [0, 1, 6999, 7001, 20000])
def test_another_size_of_a_large_file(
    store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path, size: int
) -> None:
    store.put(bucket, key_of(published[1]), b"w" * size)
    with pytest.raises(Corrupt, match=f"is not what it was: {size} bytes"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, published[1])


@pytest.mark.usefixtures("in_parts")
def test_a_missing_large_file(store: Store, bucket: str, published: tuple[Manifest, str], tmp_path: Path) -> None:
    store.delete_prefix(bucket, key_of(published[1], ""))
    with pytest.raises(Corrupt, match="is gone"):
        fetch.fetch_verified(store, bucket, PREFIX, tmp_path, published[1])


def test_a_range(store: Store, bucket: str) -> None:
    store.put(bucket, "key", bytes(range(100)))
    assert b"".join(store.chunks(bucket, "key", 7, offset=10, length=30)) == bytes(range(10, 40))
    assert b"".join(store.chunks(bucket, "key", offset=90)) == bytes(range(90, 100))
    assert b"".join(store.chunks(bucket, "key", offset=10, length=0)) == b""


def test_more_bytes_than_named_are_not_written(tmp_path: Path) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 1000

    size, _ = fetch._write(tmp_path / "file", endless(), 2500)
    assert (size, (tmp_path / "file").stat().st_size) == (3000, 2000)


def test_a_store_that_ends_in_mid_file_is_named(tmp_path: Path, store: Store, bucket: str) -> None:
    with pytest.raises(Unavailable, match="no good answer"):
        list(Store.connect("http://127.0.0.1:9", "k", "secret-key").chunks(bucket, "x"))


def test_a_manifest_too_long_to_read(store: Store, bucket: str) -> None:
    long = Manifest(kind="model", files=[], info={"a": "x" * fetch.LONGEST_MANIFEST}).to_bytes()
    store.put(bucket, layout.manifest_key(PREFIX), long)
    with pytest.raises(Corrupt, match="at most 4194304 are read"):
        fetch.read_manifest(store, bucket, PREFIX)
