"""Atomic publish: files first, sha256 each, the manifest last and never overwritten; readers start at the manifest."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from modelyard.api import layout
from modelyard.api.run import FileEntry, Manifest, digest_of
from modelyard.storage.errors import AlreadyExists, Corrupt
from modelyard.storage.store import Store


def publish(
    store: Store,
    bucket: str,
    prefix: str,
    folder: Path,
    kind: Literal["dataset", "model", "checkpoint"],
    info: dict[str, Any],
    epoch: str = "",
) -> tuple[Manifest, str]:
    """Upload a folder below `prefix` and complete it with a manifest; give the manifest and its sha256:... digest.

    If a manifest of the same content is there already, of whatever epoch, it stands; a different one raises Corrupt.
    """
    manifest = describe(folder, kind, info).model_copy(update={"epoch": epoch})
    data = manifest.to_bytes()
    if store.stat(bucket, layout.manifest_key(prefix)) is None:
        _upload(store, bucket, prefix, folder, manifest)
    try:
        store.put(bucket, layout.manifest_key(prefix), data, if_absent=True)
    except AlreadyExists:
        data = store.get(bucket, layout.manifest_key(prefix))
        standing = Manifest.model_validate_json(data)
        if standing.model_copy(update={"epoch": epoch}).to_bytes() != manifest.to_bytes():
            raise Corrupt(f"s3://{bucket}/{prefix} already holds another result; it is never overwritten") from None
        manifest = standing
    return manifest, digest_of(data)


def _upload(store: Store, bucket: str, prefix: str, folder: Path, manifest: Manifest) -> None:
    digest = digest_of(manifest.to_bytes())

    def upload(entry: FileEntry) -> None:
        store.upload(bucket, layout.file_key(prefix, digest, entry.path, manifest.epoch), folder / entry.path)

    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(upload, manifest.files))


def describe(folder: Path, kind: Literal["dataset", "model", "checkpoint"], info: dict[str, Any]) -> Manifest:
    """The manifest of a folder's regular files, in name order; the manifest of an earlier fetch is not one of them.

    A link raises Corrupt: what it leads to may be a secret of the publisher's own pod.
    """
    links = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink())
    if links:
        raise Corrupt(f"{', '.join(links[:3])} is a link: only plain files are published")
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / layout.MANIFEST)
    files = [
        FileEntry(path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256_of(path))
        for path in paths
    ]
    return Manifest(kind=kind, files=files, info=info)


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
