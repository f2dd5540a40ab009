"""Verified fetch: start at the manifest, hash every byte on its way to disk, refuse anything that differs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from modelyard.api import layout
from modelyard.api.run import FileEntry, Manifest, digest_of
from modelyard.storage.errors import Corrupt, Missing
from modelyard.storage.store import Store

ALLOWED_SUFFIXES = (".safetensors", ".json", ".jsonl", ".txt", ".onnx", ".data")


def read_manifest(store: Store, bucket: str, prefix: str, digest: str | None = None) -> tuple[Manifest, str]:
    """The manifest of a prefix and its digest; Missing if there is none, Corrupt if it is not the expected one."""
    data = store.get(bucket, layout.manifest_key(prefix))
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
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda e: _fetch_file(store, bucket, layout.file_key(prefix, found, e.path), target, e), files))
    return manifest


def check_listing(store: Store, bucket: str, prefix: str, manifest: Manifest) -> None:
    """Raise Corrupt unless the prefix holds every file of the manifest in its size."""
    digest = digest_of(manifest.to_bytes())
    sizes = {entry.key: entry.size for entry in store.list(bucket, prefix)}
    for entry in manifest.files:
        key = layout.file_key(prefix, digest, entry.path)
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


def _fetch_file(store: Store, bucket: str, key: str, target: Path, entry: FileEntry) -> None:
    path, where = target / entry.path, f"s3://{bucket}/{key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        size, sha = _write(path, store.chunks(bucket, key), entry.size)
    except Missing as fault:
        raise Corrupt(f"{where} is in the manifest but not in the store: train a new version") from fault
    if size != entry.size or sha != entry.sha256:
        path.unlink()
        raise Corrupt(
            f"{where} does not match its manifest: {size} bytes, sha256 {sha}; "
            f"expected {entry.size} bytes, sha256 {entry.sha256}. The stored file was changed: train a new version"
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
