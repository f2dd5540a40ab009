"""Publishers are killed at random points against a real store: never half a version, and nothing left by the sweep."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.api import layout
from modelyard.storage.errors import Corrupt, Missing, Unavailable
from modelyard.storage.fetch import fetch_verified, read_manifest
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from modelyard.storage.sweep import sweep
from tests.storage.conftest import connect

RUN = "ns/team/models/m/runs/r1/"
VERSION = layout.version_prefix(RUN)
SIZES = {"model.safetensors": 48 << 20, "model.onnx": 12 << 20, "config.json": 700, "tokenizer.json": 90_000}


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough for several parts."""
    folder = tmp_path_factory.mktemp("version")
    for name, size in SIZES.items():
        (folder / name).write_bytes(os.urandom(size))
    return folder


def start(minio: MinioServer, bucket: str, folder: Path) -> subprocess.Popen[str]:
    """A publisher that is about to begin."""
    words = [minio.url, minio.access_key, minio.secret_key, bucket, VERSION, str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.storage.uploader", *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def duration(minio: MinioServer, version: Path) -> float:
    """Seconds that an undisturbed publisher needs."""
    connect(minio).ensure_bucket("timing")
    process, began = start(minio, "timing", version), time.monotonic()
    assert process.wait(60) == 0
    return time.monotonic() - began


@pytest.mark.parametrize("points", [pytest.param(4, id="some"), pytest.param(30, id="all", marks=pytest.mark.full)])
def test_killed_at_random_points(
    minio: MinioServer, store: Store, bucket: str, version: Path, duration: float, points: int
) -> None:
    seen: list[str] = []
    for _ in range(points):
        process = start(minio, bucket, version)
        time.sleep(random.uniform(0, duration))
        process.send_signal(signal.SIGKILL)
        process.wait()
        seen.append(_look(store, bucket))
        if seen[-1] == "whole":  # or the next publisher would have nothing to do
            store.delete_prefix(bucket, VERSION)
    assert set(seen) <= {"nothing", "whole"} and "nothing" in seen, seen
    manifest, digest = publish(store, bucket, VERSION, version, "model", {})
    sweep(store, bucket, RUN, VERSION)
    _assert_nothing_left(store, bucket, digest, [entry.path for entry in manifest.files])


def _look(store: Store, bucket: str) -> str:
    """What a reader finds."""
    try:
        manifest, _ = read_manifest(store, bucket, VERSION)
    except Missing:
        return "nothing"
    keys = {entry.key: entry.size for entry in store.list(bucket, VERSION)}
    sizes = [size for key, size in keys.items() if key != layout.manifest_key(VERSION)]
    return "whole" if sorted(sizes) == sorted(entry.size for entry in manifest.files) else "half"


def _assert_nothing_left(store: Store, bucket: str, digest: str, paths: list[str]) -> None:
    named = {layout.manifest_key(VERSION), *(layout.file_key(VERSION, digest, path, "") for path in paths)}
    assert {entry.key for entry in store.list(bucket, RUN)} == named
    assert store.abort_uploads(bucket, "") == 0


def test_leftovers_of_others_and_of_a_run_that_published_nothing(
    minio: MinioServer, store: Store, bucket: str, version: Path, folder: Path, tmp_path: Path
) -> None:
    other = "ns/team/models/m/runs/r10/version/"
    _, digest = publish(store, bucket, other, folder, "model", {})
    store.put(bucket, f"{VERSION}0123456789abcdef/model.onnx", b"half")
    store.put(bucket, f"{layout.checkpoint_prefix(RUN, 7)}manifest.json", b"{}")
    store.put(bucket, layout.report_key(RUN), b"{}")
    _kill_in_upload(minio, store, bucket, version)
    assert sweep(store, bucket, RUN, VERSION) >= 3
    assert [entry.key for entry in store.list(bucket, RUN)] == [layout.report_key(RUN)]
    assert store.abort_uploads(bucket, "") == 0
    fetch_verified(store, bucket, other, tmp_path / "other", digest)


def _kill_in_upload(minio: MinioServer, store: Store, bucket: str, version: Path) -> None:
    """Until parts are left behind."""
    for _ in range(10):
        process = start(minio, bucket, version)
        deadline = time.monotonic() + 30
        while not list(store._uploads(bucket)) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if list(store._uploads(bucket)):
            return
        store.delete_prefix(bucket, VERSION)
    raise AssertionError("no upload was caught in its midst")


def test_of_two_publishers_the_one_that_stands_is_kept(store: Store, bucket: str, folder: Path, tmp_path: Path) -> None:
    _, digest = publish(store, bucket, VERSION, folder, "model", {})
    store.put(bucket, f"{VERSION}0123456789abcdef/config.json", b"of the other one")
    assert sweep(store, bucket, RUN, VERSION) == 1
    assert sweep(store, bucket, RUN, VERSION) == 0
    fetch_verified(store, bucket, VERSION, tmp_path / "kept", digest)


class HeldUp(Store):
    """The store of an operator that is held up right before its n-th call, while its successor works."""

    def __init__(self, store: Store, calls: int, meanwhile: Callable[[], None]) -> None:
        self._store, self._left, self._meanwhile = store, calls, meanwhile

    def _call_on(self, name: str, *args: Any) -> Any:
        if self._left == 0:
            self._meanwhile()
        self._left -= 1
        return getattr(self._store, name)(*args)

    def list(self, *args: Any) -> Any:
        return self._call_on("list", *args)

    def get(self, *args: Any) -> Any:
        return self._call_on("get", *args)

    def delete(self, *args: Any) -> Any:
        return self._call_on("delete", *args)

    def delete_prefix(self, *args: Any) -> Any:
        return self._call_on("delete_prefix", *args)

    def abort_uploads(self, *args: Any) -> Any:
        return self._call_on("abort_uploads", *args)


def _half(store: Store, bucket: str, epoch: str) -> list[str]:
    """What a start of the run has written so far: a checkpoint, a file of the version, parts of another."""
    keys = [layout.file_key(VERSION, "sha256:" + "0" * 64, "model.onnx", epoch)]
    keys.append(f"{layout.checkpoint_prefix(RUN, 7, epoch)}manifest.json")
    for key in keys:
        store.put(bucket, key, epoch.encode())
    part = layout.file_key(VERSION, "sha256:" + "0" * 64, "model.safetensors", epoch)
    store._client._create_multipart_upload(bucket, part, {})
    return sorted([*keys, part])


def _there(store: Store, bucket: str, epoch: str) -> list[str]:
    keys = [entry.key for entry in store.list(bucket, RUN)] + [upload.key for upload in store._uploads(bucket)]
    return sorted(key for key in keys if epoch in key)


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("calls", range(4))
def test_a_sweep_that_was_held_up_touches_nothing_of_a_successor(
    store: Store, bucket: str, folder: Path, calls: int, published: bool
) -> None:
    before, after = "e111111111", "e222222222"
    _half(store, bucket, before)
    if published:
        publish(store, bucket, VERSION, folder, "model", {}, before)
    theirs: list[str] = []

    def meanwhile() -> None:
        """The version is deleted with its artifacts, and the very same run begins anew."""
        if published:
            store.delete_prefix(bucket, VERSION)
        theirs.extend(_half(store, bucket, after))

    with suppress(Unavailable):
        sweep(HeldUp(store, calls, meanwhile), bucket, RUN, VERSION, before)
    assert theirs and _there(store, bucket, after) == theirs
    sweep(store, bucket, RUN, VERSION, before)
    assert _there(store, bucket, before) == [] and _there(store, bucket, after) == theirs


def test_a_start_goes_on_with_the_result_of_another(store: Store, bucket: str, folder: Path, tmp_path: Path) -> None:
    first, digest = publish(store, bucket, VERSION, folder, "model", {}, "e111111111")
    assert publish(store, bucket, VERSION, folder, "model", {}, "e222222222") == (first, digest)
    fetch_verified(store, bucket, VERSION, tmp_path / "whole", digest)
    (folder / "config.json").write_text("[]")
    with pytest.raises(Corrupt, match="another result"):
        publish(store, bucket, VERSION, folder, "model", {}, "e222222222")
