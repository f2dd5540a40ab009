"""A base model whose content a namespace knows already, as if a pod had read it: where none runs, or one more costs."""

from __future__ import annotations

import hashlib

from modelyard.api import layout
from modelyard.api.base_folder import is_loaded
from modelyard.api.base_record import BaseFile, BaseRecord
from modelyard.storage.bases import hash_base, list_base, write_record
from modelyard.storage.store import Store


def make_known(store: Store, bucket: str, namespace: str, uri: str) -> BaseRecord:
    """Read the base here, and leave its record."""
    record = hash_base(store, uri, list_base(store, uri))
    write_record(store, bucket, layout.base_record_key(namespace, record.listing), record)
    return record


def record_of(uri: str, files: dict[str, bytes]) -> BaseRecord:
    """The record of small files, each uploaded in one part."""
    return BaseRecord(uri=uri, files=[_file(path, data) for path, data in files.items() if is_loaded(path)])


def _file(path: str, data: bytes) -> BaseFile:
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return BaseFile(path=path, size=len(data), etag=etag, sha256=hashlib.sha256(data).hexdigest())
