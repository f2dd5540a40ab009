"""Figure: bringing a version from the store and to it, verified, beside minio-py as it comes and beside s5cmd."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.bench.figure import Figure, Row, median
from dev.localcluster.minio import MinioServer
from dev.localcluster.tools import binary
from modelyard.storage.fetch import fetch_verified
from modelyard.storage.publish import publish
from modelyard.storage.store import Store

BUCKET = "transfer"
MEMORY = Path("/dev/shm")
Part = Callable[[Path], Any]
"""One transfer between the store and a folder."""


@dataclass(frozen=True)
class Load:
    """What is transferred."""

    name: str
    files: int
    size: int

    @property
    def megabytes(self) -> float:
        return self.files * self.size / 1e6


async def measure(quick: bool) -> Figure:
    """One large file and many small ones, down and up; all take turns."""
    loads = [Load("1 GiB", 1, 1 << 30), Load("500 files", 500, 100_000)]
    if quick:
        loads = [Load("64 MiB", 1, 64 << 20), Load("50 files", 50, 100_000)]
    rounds = 1 if quick else 5
    rows: list[Row] = []
    with MinioServer() as minio, _folder() as folder:
        for load in loads:
            rows += _rows(load, Transfers(minio, folder / load.name.replace(" ", "-"), load), rounds)
    rows.append(Row("machine: sha256, one core", _sha256(), "MB/s"))
    notes = [
        f"Medians of {rounds} rounds in turns. Store, client and folders share the cores, and all data lie in "
        "memory (tmpfs): nothing waits for a network or a disk, so CPU seconds decide; the last row of each load "
        "is what minio-py's own CPU and the store's would allow if all cores were busy all the time.",
        "Ours hashes every byte against the manifest on the way down, and before the way up; the peers check nothing. "
        "minio-py as it comes: fget_object and fput_object, one file after the other. s5cmd: `cp` with its defaults.",
    ]
    title = "A version to and from the store: 1 GiB in one file, and 500 files of 100 kB"
    return Figure("transfer", title, rows, notes)


def _rows(load: Load, transfers: Transfers, rounds: int) -> list[Row]:
    down = _turns(
        {"ours": transfers.fetch, "minio-py": transfers.plain_down, "s5cmd": transfers.s5_down}, transfers, rounds
    )
    up = _turns(
        {"ours": transfers.publish, "minio-py": transfers.plain_up, "s5cmd": transfers.s5_up}, transfers, rounds
    )
    rows = []
    for way, taken, targets in (("down", down, (2.0, 0.8)), ("up", up, (None, 0.8))):
        ours = taken["ours"]
        rows += [
            Row(f"{load.name} {way}: verified, ours", load.megabytes / ours, "MB/s"),
            Row(f"peer: {load.name} {way}, minio-py as it comes", load.megabytes / taken["minio-py"], "MB/s"),
            Row(f"peer: {load.name} {way}, s5cmd", load.megabytes / taken["s5cmd"], "MB/s"),
            Row(f"{load.name} {way}: ours over minio-py", taken["minio-py"] / ours, "ratio", targets[0], "at least"),
            Row(f"{load.name} {way}: ours over s5cmd", taken["s5cmd"] / ours, "ratio", targets[1], "at least"),
        ]
    busy = transfers.cpu_of(transfers.plain_down) / len(os.sched_getaffinity(0))
    limit = down["minio-py"] / busy
    return [*rows, Row(f"machine: {load.name} down, limit of any client over minio-py", limit, "ratio")]


def _turns(parts: dict[str, Part], transfers: Transfers, rounds: int) -> dict[str, float]:
    """Median seconds of each part."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(rounds):
        for name in sorted(parts, reverse=turn % 2 == 1):
            transfers.clear()
            began = time.perf_counter()
            parts[name](transfers.target)
            seconds[name].append(time.perf_counter() - began)
    return {name: median(taken) for name, taken in seconds.items()}


class Transfers:
    """One load in a store of its own, and every way to move it."""

    def __init__(self, minio: MinioServer, folder: Path, load: Load) -> None:
        self._minio, self._load = minio, load
        self._store = Store.connect(minio.url, minio.access_key, minio.secret_key, patience=10)
        self._store.ensure_bucket(BUCKET)
        self._source, self.target = folder / "source", folder / "target"
        self._source.mkdir(parents=True)
        for i in range(load.files):
            _write_random(self._source / f"{i:04d}.safetensors", load.size)
        self._prefix = f"{load.name.replace(' ', '-')}/"
        self._digest = publish(self._store, BUCKET, f"{self._prefix}version/", self._source, "model", {})[1]
        self.plain_up(folder)

    def clear(self) -> None:
        """An empty target, and nothing published again."""
        shutil.rmtree(self.target, ignore_errors=True)
        self.target.mkdir()
        self._store.delete_prefix(BUCKET, f"{self._prefix}again/")

    def fetch(self, target: Path) -> None:
        fetch_verified(self._store, BUCKET, f"{self._prefix}version/", target, self._digest)

    def publish(self, _: Path) -> None:
        publish(self._store, BUCKET, f"{self._prefix}again/", self._source, "model", {})

    def plain_down(self, target: Path) -> None:
        for path in self._source.iterdir():
            self._store._client.fget_object(BUCKET, f"{self._prefix}plain/{path.name}", str(target / path.name))

    def plain_up(self, _: Path) -> None:
        for path in self._source.iterdir():
            self._store._client.fput_object(BUCKET, f"{self._prefix}plain/{path.name}", str(path))

    def s5_down(self, target: Path) -> None:
        self._s5cmd(f"s3://{BUCKET}/{self._prefix}plain/*", f"{target}/")

    def s5_up(self, _: Path) -> None:
        self._s5cmd(f"{self._source}/", f"s3://{BUCKET}/{self._prefix}s5cmd/")

    def cpu_of(self, part: Part) -> float:
        """CPU seconds of the store and this process for one transfer."""
        self.clear()
        before = self._cpu()
        part(self.target)
        return self._cpu() - before

    def _cpu(self) -> float:
        process = self._minio._server()._process
        assert process is not None
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return time.process_time() + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _s5cmd(self, source: str, target: str) -> None:
        keys = {"AWS_ACCESS_KEY_ID": self._minio.access_key, "AWS_SECRET_ACCESS_KEY": self._minio.secret_key}
        command = [str(binary("s5cmd")), "--endpoint-url", self._minio.url, "--log", "error", "cp", source, target]
        subprocess.run(command, env={**os.environ, **keys, "AWS_REGION": "us-east-1"}, check=True)


def _write_random(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        for at in range(0, size, 1 << 20):
            stream.write(os.urandom(min(1 << 20, size - at)))


def _sha256() -> float:
    data, began = bytes(64 << 20), time.perf_counter()
    hashlib.sha256(data).digest()
    return len(data) / 1e6 / (time.perf_counter() - began)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="modelyard-transfer-", dir=MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
