"""Verified fetch: start at the manifest, hash every byte on its way to disk, refuse anything that differs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from modelyard.api import layout
from modelyard.api.run import FileEntry, Manifest, digest_of
from modelyard.storage.errors import Corrupt, Missing
from modelyard.storage.store import Store

PART = 32 << 20
"""Bytes that one request asks for: larger files come in parts side by side."""
THREADS = 8
LONGEST_MANIFEST = 4 * 1024 * 1024
MOST_LISTED = 100_000
"""Bounds on what a run may leave for the operator to read: both are far beyond what ours leave."""
ALLOWED_SUFFIXES = (".safetensors", ".json", ".jsonl", ".parquet", ".txt", ".onnx", ".data")


@dataclass(frozen=True, slots=True)
class Place:
    """A file of the manifest, where it lies in the store and where it goes."""

    key: str
    path: Path
    entry: FileEntry
    etag: str = ""
    """The very object that is meant; empty: whatever lies there."""


def read_manifest(store: Store, bucket: str, prefix: str, digest: str | None = None) -> tuple[Manifest, str]:
    """The manifest of a prefix and its digest; Missing if there is none, Corrupt if it is not the expected one."""
    data = store.get(bucket, layout.manifest_key(prefix))
    if len(data) > LONGEST_MANIFEST:
        raise Corrupt(f"s3://{bucket}/{prefix}manifest.json has {len(data)} bytes, at most {LONGEST_MANIFEST} are read")
    found = digest_of(data)
    if digest is not None and found != digest:
        raise Corrupt(f"s3://{bucket}/{prefix}manifest.json has digest {found}, expected {digest}")
    try:
        return Manifest.model_validate_json(data), found
    except ValidationError as fault:
        raise Corrupt(f"s3://{bucket}/{prefix}manifest.json is not a manifest: {fault}") from fault


def fetch_verified(
    store: Store,
    bucket: str,
    prefix: str,
    target: Path,
    digest: str | None = None,
    wanted: Callable[[FileEntry], bool] = lambda entry: True,
    allowed: tuple[str, ...] = ALLOWED_SUFFIXES,
) -> Manifest:
    """Download the (wanted) files of a prefix into `target`; every file is hashed against the manifest."""
    manifest, found = read_manifest(store, bucket, prefix, digest)
    files = [entry for entry in manifest.files if wanted(entry)]
    for entry in files:
        check_path(entry.path, allowed)
    places = [Place(layout.file_key(prefix, found, e.path, manifest.epoch), target / e.path, e) for e in files]
    try:
        fetch_places(store, bucket, places)
    except Corrupt as fault:
        raise Corrupt(f"{fault.message}: the stored files were changed, train a new version") from fault
    return manifest


def fetch_places(store: Store, bucket: str, places: Sequence[Place]) -> None:
    """Download files side by side; Corrupt for one that is not what its entry says."""
    for folder in {place.path.parent for place in places}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="fetch") as pool:
        try:
            _fetch_all(pool, store, bucket, places)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def check_listing(store: Store, bucket: str, prefix: str, manifest: Manifest, digest: str) -> None:
    """Raise Corrupt unless the prefix holds every file of the manifest of that digest in its size."""
    sizes = {entry.key: entry.size for entry in store.list(bucket, prefix, MOST_LISTED)}
    for entry in manifest.files:
        key = layout.file_key(prefix, digest, entry.path, manifest.epoch)
        if sizes.get(key) != entry.size:
            raise Corrupt(
                f"s3://{bucket}/{key} has {sizes.get(key, 'no')} bytes, the manifest says {entry.size}: "
                "the store was changed, train a new version"
            )


def check_path(path: str, allowed: tuple[str, ...] = ALLOWED_SUFFIXES) -> None:
    """Refuse names that leave the folder or that could carry code."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts:
        raise Corrupt(f"the manifest names a file outside its folder: {path!r}")
    if pure.suffix not in allowed:
        raise Corrupt(f"the manifest names a file that is never loaded: {path!r} (allowed: {', '.join(allowed)})")


def _fetch_all(pool: Executor, store: Store, bucket: str, places: Sequence[Place]) -> None:
    """Small files whole and hashed on their way; large ones in parts side by side, hashed here as the parts arrive."""
    large = [(place, _begin(pool, store, bucket, place)) for place in places if place.entry.size > PART]
    small = [pool.submit(_fetch_whole, store, bucket, place) for place in places if place.entry.size <= PART]
    for place, arriving in large:
        _check(bucket, place, place.entry.size, _hashed(place.path, arriving))
    for done in small:
        done.result()


def _begin(pool: Executor, store: Store, bucket: str, place: Place) -> list[Future[int]]:
    """Ask for all parts of a large file, each to be written at its place; each future gives the part's bytes."""
    size, there = place.entry.size, store.stat(bucket, place.key)
    if there is None:
        raise _missing(bucket, place)
    if there.size != size:
        raise _differs(bucket, place, there.size, "unknown")
    with place.path.open("wb") as stream:
        stream.truncate(size)
    return [pool.submit(_fetch_part, store, bucket, place, at, min(PART, size - at)) for at in range(0, size, PART)]


def _fetch_part(store: Store, bucket: str, place: Place, offset: int, length: int) -> int:
    with place.path.open("r+b") as stream:
        stream.seek(offset)
        for chunk in store.chunks(bucket, place.key, offset=offset, length=length, etag=place.etag):
            stream.write(chunk)
    return length


def _hashed(path: Path, arriving: Iterable[Future[int]]) -> str:
    """Hexadecimal sha256 of a file whose parts arrive in any order."""
    sha, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
    with path.open("rb", buffering=0) as stream:
        for part in arriving:
            left = part.result()
            while left and (read := stream.readinto(buffer[: min(left, len(buffer))])):
                sha.update(buffer[:read])
                left -= read
    return sha.hexdigest()


def _fetch_whole(store: Store, bucket: str, place: Place) -> None:
    try:
        size, sha = _write(place.path, store.chunks(bucket, place.key, etag=place.etag), place.entry.size)
    except Missing as fault:
        raise _missing(bucket, place) from fault
    _check(bucket, place, size, sha)


def _check(bucket: str, place: Place, size: int, sha: str) -> None:
    if size != place.entry.size or sha != place.entry.sha256:
        place.path.unlink()
        raise _differs(bucket, place, size, sha)


def _missing(bucket: str, place: Place) -> Corrupt:
    return Corrupt(f"s3://{bucket}/{place.key} is gone")


def _differs(bucket: str, place: Place, size: int, sha: str) -> Corrupt:
    return Corrupt(
        f"s3://{bucket}/{place.key} is not what it was: {size} bytes, sha256 {sha}; expected "
        f"{place.entry.size} bytes, sha256 {place.entry.sha256}"
    )


def _write(path: Path, chunks: Iterator[bytes], limit: int) -> tuple[int, str]:
    """Write chunks to a file, stop once they exceed `limit` bytes; gives bytes and hexadecimal sha256 seen."""
    sha, size = hashlib.sha256(), 0
    with path.open("wb") as stream:
        for chunk in chunks:
            sha.update(chunk)
            size += len(chunk)
            if size > limit:
                break
            stream.write(chunk)
    return size, sha.hexdigest()
