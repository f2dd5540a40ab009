"""Base models in a store: listed, hashed file by file without a copy on disk, and remembered in a record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from modelyard.api import layout
from modelyard.api.base_record import BaseFile, BaseRecord, Listed, loaded
from modelyard.storage.errors import Changed, Missing
from modelyard.storage.store import Store

THREADS = 4


def list_base(store: Store, uri: str, most: int | None = None) -> list[Listed]:
    """All files below the folder `uri`, or the first `most`."""
    bucket, prefix = layout.split_uri(uri)
    entries = store.list(bucket, prefix, most)
    return [Listed(entry.key.removeprefix(prefix), entry.size, entry.etag) for entry in entries]


def read_record(store: Store, bucket: str, key: str) -> BaseRecord | None:
    """The record under a key; None if there is none, or what is there is no record."""
    try:
        return BaseRecord.model_validate_json(store.get(bucket, key))
    except (Missing, ValidationError):
        return None


def find_record(store: Store, bucket: str, namespace: str, listing: str) -> BaseRecord | None:
    """What a namespace knows about a listing; a record of another listing is none."""
    found = read_record(store, bucket, layout.base_record_key(namespace, listing))
    return found if found is not None and found.listing == listing else None


def hash_base(
    store: Store, uri: str, entries: Sequence[Listed], done: Callable[[int], None] = lambda count: None
) -> BaseRecord:
    """Read every file that is loaded, as it was listed; `done` hears how many are through. Changed if one changes."""
    bucket, prefix = layout.split_uri(uri)
    with ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="hash") as pool:
        files = []
        for file in pool.map(lambda entry: _hashed(store, bucket, prefix, entry), loaded(entries)):
            files.append(file)
            done(len(files))
    return BaseRecord(uri=uri, files=files)


def write_record(store: Store, bucket: str, key: str, record: BaseRecord) -> None:
    """Writers of one listing write the same; what is no record is replaced."""
    store.put(bucket, key, record.model_dump_json(by_alias=True, indent=1).encode())


def _hashed(store: Store, bucket: str, prefix: str, entry: Listed) -> BaseFile:
    sha, size = hashlib.sha256(), 0
    for chunk in store.chunks(bucket, prefix + entry.path, size=1 << 20, etag=entry.etag):
        sha.update(chunk)
        size += len(chunk)
    if size != entry.size:
        raise Changed(f"s3://{bucket}/{prefix}{entry.path} has {size} bytes, {entry.size} were listed")
    return BaseFile(path=entry.path, size=size, etag=entry.etag, sha256=sha.hexdigest())
