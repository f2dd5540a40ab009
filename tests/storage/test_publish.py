"""Publishing is atomic: a manifest is there with every file it names, or not at all."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.api import layout
from modelyard.api.run import Manifest, digest_of
from modelyard.engine.facts.store import StoreFacts
from modelyard.storage.errors import Corrupt, StoreError
from modelyard.storage.fetch import check_listing, fetch_verified, read_manifest
from modelyard.storage.publish import describe, publish
from modelyard.storage.store import Store
from tests.storage.conftest import connect

PREFIX = "ns/team/models/reviews/runs/run-1/version/"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_published_is_fetched(store: Store, bucket: str, folder: Path, tmp_path: Path) -> None:
    manifest, digest = publish(store, bucket, PREFIX, folder, "model", {"task": "text-classification"})
    assert fetch_verified(store, bucket, PREFIX, tmp_path / "copy", digest) == manifest
    assert contents(tmp_path / "copy") == contents(folder)
    assert manifest.info == {"task": "text-classification"}
    check_listing(store, bucket, PREFIX, manifest, digest)


def test_the_digest_is_that_of_the_stored_bytes(store: Store, bucket: str, folder: Path) -> None:
    manifest, digest = publish(store, bucket, PREFIX, folder, "model", {"labels": ["schön"]})
    data = store.get(bucket, layout.manifest_key(PREFIX))
    assert (digest_of(data), manifest.to_bytes()) == (digest, data)


def test_publishing_again_gives_the_same(store: Store, bucket: str, folder: Path) -> None:
    first = publish(store, bucket, PREFIX, folder, "model", {})
    assert publish(store, bucket, PREFIX, folder, "model", {}) == first


def test_a_published_result_is_never_overwritten(store: Store, bucket: str, folder: Path) -> None:
    manifest, digest = publish(store, bucket, PREFIX, folder, "model", {})
    before = store.list(bucket, PREFIX)
    (folder / "config.json").write_text('{"changed": true}')
    with pytest.raises(Corrupt, match="already holds another result"):
        publish(store, bucket, PREFIX, folder, "model", {})
    assert store.list(bucket, PREFIX) == before
    check_listing(store, bucket, PREFIX, manifest, digest)


def test_a_fetched_folder_can_be_published_elsewhere(store: Store, bucket: str, folder: Path) -> None:
    (folder / layout.MANIFEST).write_text("of an earlier fetch")
    manifest, _ = publish(store, bucket, PREFIX, folder, "model", {})
    assert layout.MANIFEST not in [entry.path for entry in manifest.files]


@pytest.mark.parametrize("equal", [True, False])
def test_of_two_publishers_one_stands_whole(
    minio: MinioServer, store: Store, bucket: str, tmp_path: Path, equal: bool
) -> None:
    for attempt in range(5):
        prefix, folders = f"race-{attempt}/", [tmp_path / f"{attempt}-{side}" for side in "ab"]
        for side, source in enumerate(folders):
            source.mkdir()
            for name in range(6):
                (source / f"{name}.json").write_bytes(bytes([name, 0 if equal else side]) * 5000)
        outcomes = race([partial(_try, minio, bucket, prefix, source) for source in folders])
        assert outcomes.count("published") == (2 if equal else 1), outcomes
        fetch_verified(store, bucket, prefix, tmp_path / f"{attempt}-copy")
        assert contents(tmp_path / f"{attempt}-copy") in [contents(source) for source in folders]


def _try(minio: MinioServer, bucket: str, prefix: str, folder: Path) -> str:
    try:
        publish(connect(minio), bucket, prefix, folder, "model", {})
        return "published"
    except Corrupt:
        return "refused"


def race(calls: list[Callable[[], str]]) -> list[str]:
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def test_a_killed_publisher_leaves_all_or_nothing(minio: MinioServer, store: Store, bucket: str, folder: Path) -> None:
    chance, whole = random.Random(7), 0
    for attempt in range(12):
        prefix = f"killed-{attempt}/"
        _kill_publisher(minio, bucket, prefix, folder, after=chance.uniform(0.0, 0.05))
        whole += _is_whole(store, bucket, prefix)
        publish(store, bucket, prefix, folder, "model", {})
        assert _is_whole(store, bucket, prefix)
    assert whole < 12, "no publisher was killed in time"


def _kill_publisher(minio: MinioServer, bucket: str, prefix: str, folder: Path, after: float) -> None:
    child = os.fork()
    if child == 0:
        try:
            publish(connect(minio), bucket, prefix, folder, "model", {})
        finally:
            os._exit(0)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _is_whole(store: Store, bucket: str, prefix: str) -> bool:
    """False without a manifest; raises Corrupt if there is one without all of its files."""
    if store.stat(bucket, layout.manifest_key(prefix)) is None:
        return False
    check_listing(store, bucket, prefix, *read_manifest(store, bucket, prefix))
    return True


@pytest.mark.parametrize("calls", range(5))
def test_a_publisher_that_ends_after_any_call_leaves_no_manifest(
    store: Store, bucket: str, folder: Path, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    left = iter(range(calls))
    for name in ("upload", "put"):
        original = getattr(Store, name)

        def step(self: Store, *args: object, original: Callable[..., object] = original, **options: object) -> object:
            if next(left, None) is None:
                raise StoreError("killed here")
            return original(self, *args, **options)

        monkeypatch.setattr(Store, name, step)
    try:
        publish(store, bucket, PREFIX, folder, "model", {})
    except StoreError:
        assert calls < 4
    assert _is_whole(store, bucket, PREFIX) == (calls == 4)


def test_the_manifest_of_a_folder_is_in_name_order(folder: Path) -> None:
    manifest = describe(folder, "model", {})
    assert [entry.path for entry in manifest.files] == ["config.json", "model.safetensors", "onnx/model.onnx"]
    assert manifest.size == sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert Manifest.model_validate_json(manifest.to_bytes()) == manifest


def test_a_manifest_of_another_release_is_whole_by_its_bytes(store: Store, bucket: str, folder: Path) -> None:
    """Written again without what this release does not know, it would have another digest and name other files."""
    described = json.loads(describe(folder, "model", {"task": "text-classification"}).to_bytes())
    for entry in described["files"]:
        entry["compressed"] = "zstd"
    data = json.dumps({**described, "signature": {"by": "somebody"}}).encode()
    for path in contents(folder):
        store.upload(bucket, layout.file_key(PREFIX, digest_of(data), path, ""), folder / path)
    store.put(bucket, layout.manifest_key(PREFIX), data)
    verified = StoreFacts(store, bucket).functions["verified"]({"prefix": PREFIX, "digest": digest_of(data)})
    assert verified["digest"] == digest_of(data)
    assert {entry["path"] for entry in verified["manifest"]["files"]} == set(contents(folder))
