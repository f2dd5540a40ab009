"""An artifact store in memory below the operator's own storage code: claims, manifests and listings are real."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from modelyard.api import layout
from modelyard.api.run import FileEntry, digest_of
from modelyard.api.run import Manifest as StoredManifest
from modelyard.storage.errors import AlreadyExists, Missing, StoreError
from modelyard.storage.fetch import check_listing, read_manifest
from modelyard.storage.store import Entry, Store
from tests.simulation import clock

BUCKET = "modelyard"
YOUNG = 30.0
"""Seconds for which a stale read may not know an object."""


class FakeStore(Store):
    """Objects in a dictionary, as the pods see it: always there."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], tuple[bytes, int]] = {}
        """(bucket, key) -> content and stated size."""
        self._etags: dict[tuple[str, str], str] = {}
        """Of objects that were uploaded in parts."""
        self._before: dict[tuple[str, str], bytes] = {}
        self._since: dict[tuple[str, str], float] = {}

    def get(self, bucket: str, key: str) -> bytes:
        if (bucket, key) not in self.objects:
            raise Missing(f"no s3://{bucket}/{key}")
        return self.objects[bucket, key][0]

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> str:
        if if_absent and (bucket, key) in self.objects:
            raise AlreadyExists(f"s3://{bucket}/{key} is there")
        if (bucket, key) in self.objects:
            self._before[bucket, key] = self.objects[bucket, key][0]
        self._since[bucket, key] = clock.seconds()
        self.objects[bucket, key] = (data, len(data))
        return _etag(data)

    def before(self, bucket: str, key: str) -> bytes:
        """What an object was before its last change; Missing if it is young and was not there."""
        if (bucket, key) in self._before:
            return self._before[bucket, key]
        if self.is_young(bucket, key):
            raise Missing(f"no s3://{bucket}/{key}")
        return self.get(bucket, key)

    def is_young(self, bucket: str, key: str) -> bool:
        """True for what was written within the last moments."""
        return clock.seconds() - self._since.get((bucket, key), -YOUNG) < YOUNG

    def keys_like(self, bucket: str, key: str) -> list[str]:
        """Keys that end as this one does, itself among them."""
        tail = key.rpartition("/")[2]
        return sorted(k for b, k in self.objects if b == bucket and k.endswith(tail)) or [key]

    def put_sized(self, bucket: str, key: str, size: int) -> None:
        """A file of which only the size matters."""
        self.objects[bucket, key] = (key.encode(), size)

    def etag(self, bucket: str, key: str) -> str:
        """The md5 of an object, or what its parts made of it."""
        return self._etags.get((bucket, key)) or _etag(self.objects[bucket, key][0])

    def mirror(self, bucket: str, prefix: str, part_size: int) -> None:
        """The same files again, uploaded in parts of another size."""
        for entry in self.list(bucket, prefix):
            self._etags[bucket, entry.key] = f"{_etag(f'{entry.key} {part_size}'.encode())}-{part_size}"

    def stat(self, bucket: str, key: str) -> Entry | None:
        found = self.objects.get((bucket, key))
        return None if found is None else Entry(key, found[1], self.etag(bucket, key))

    def list(self, bucket: str, prefix: str, most: int | None = None) -> list[Entry]:
        keys = sorted(key for b, key in self.objects if b == bucket and key.startswith(prefix))[:most]
        return [Entry(key, self.objects[bucket, key][1], self.etag(bucket, key)) for key in keys]

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        entries = self.list(bucket, prefix)
        for entry in entries:
            del self.objects[bucket, entry.key]
        return len(entries)

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop((bucket, key), None)

    def abort_uploads(self, bucket: str, prefix: str, wanted: Any = None) -> int:
        return 0

    def publish(self, prefix: str, manifest: StoredManifest) -> str:
        """As the trainer does: files first, the manifest last and never overwritten; gives the digest that stands."""
        data = manifest.to_bytes()
        if self.stat(BUCKET, layout.manifest_key(prefix)) is None:
            for entry in manifest.files:
                self.put_sized(BUCKET, layout.file_key(prefix, digest_of(data), entry.path, manifest.epoch), entry.size)
            self.put(BUCKET, layout.manifest_key(prefix), data)
        return digest_of(self.get(BUCKET, layout.manifest_key(prefix)))

    def published(self, prefix: str) -> StoredManifest | None:
        """The manifest of a prefix."""
        found = self.objects.get((BUCKET, layout.manifest_key(prefix)))
        return None if found is None else StoredManifest.model_validate_json(found[0])

    def intact(self, prefix: str, digest: str | None = None) -> bool:
        """True when a server that fetches this prefix (at this digest) finds every byte."""
        try:
            check_listing(self, BUCKET, prefix, *read_manifest(self, BUCKET, prefix, digest))
        except StoreError:
            return False
        return True

    def corrupt(self, prefix: str) -> bool:
        """Cut one published file short; False if there is none."""
        for bucket, key in sorted(self.objects):
            if key.startswith(prefix) and not key.endswith(layout.MANIFEST):
                data, size = self.objects[bucket, key]
                self.objects[bucket, key] = (data, max(size - 1, 0))
                return True
        return False


def file_entry(path: str, size: int) -> FileEntry:
    """A line of a manifest."""
    return FileEntry(path=path, size=size, sha256=hashlib.sha256(path.encode()).hexdigest())


def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
