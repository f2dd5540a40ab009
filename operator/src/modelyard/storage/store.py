"""One connection to an S3 store: small calls with clear errors, retried for at most `patience` seconds."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.credentials import Provider, StaticProvider
from minio.deleteobjects import DeleteObject
from minio.error import S3Error

from modelyard.api.layout import MANIFEST
from modelyard.api.store import StoreConnection
from modelyard.storage.credentials import provider_from_environment
from modelyard.storage.errors import Changed, Corrupt, Denied, Misconfigured, Missing, StoreError, Unavailable
from modelyard.storage.faults import from_code, translate
from modelyard.storage.route import INSTALLATION, Route

T = TypeVar("T")
WHOLE = 16 * 1024 * 1024
"""Bytes of the largest object that is read into memory: manifests and histories are far smaller."""
UPLOAD_PART = 16 << 20
"""Bytes of a part; three of each file are in memory and under way at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a listing; size in bytes."""

    key: str
    size: int
    etag: str


class Upload(NamedTuple):
    """A file of which parts may be there, but no object yet."""

    key: str
    upload: str


class Store:
    """An S3 endpoint with one key. Not tied to a bucket: base models and sources may lie in others."""

    def __init__(self, client: Minio, route: Route, patience: float = 0.0) -> None:
        self._client = client
        self._route = route
        self._patience = patience
        self._answered = False

    @classmethod
    def connect(
        cls,
        where: StoreConnection | str,
        access_key: str,
        secret_key: str,
        *,
        patience: float = 0.0,
        timeout: float = 30.0,
    ) -> Store:
        """Connect lazily to a store; `patience` is how long (s) an unavailable one is asked again."""
        provider = StaticProvider(access_key, secret_key)
        return cls.with_provider(where, provider, patience=patience, timeout=timeout)

    @classmethod
    def with_provider(
        cls,
        where: StoreConnection | str,
        provider: Provider | None,
        *,
        fields: str = INSTALLATION,
        patience: float = 0.0,
        timeout: float = 30.0,
    ) -> Store:
        """The same with keys that change, or with none at all; `fields` is where its settings stand."""
        connection = StoreConnection(endpoint=where) if isinstance(where, str) else where
        route, parts = Route(connection, fields), urlsplit(connection.endpoint)
        client = Minio(
            endpoint=parts.netloc,
            credentials=provider,
            region=connection.region,
            secure=parts.scheme == "https",
            http_client=route.pool(urllib3.Timeout(connect=min(timeout, 5.0), read=timeout), maxsize=16),
        )
        if connection.addressing == "virtualHost":
            client.enable_virtual_style_endpoint()
        elif connection.addressing == "path":
            client.disable_virtual_style_endpoint()
        return cls(client, route, patience)

    @classmethod
    def from_environment(
        cls,
        where: StoreConnection | str,
        *,
        prefix: str = "AWS_",
        fields: str = INSTALLATION,
        patience: float = 0.0,
    ) -> Store:
        """Connect with <prefix>ACCESS_KEY_ID and <prefix>SECRET_ACCESS_KEY, or as the operator set in the pod."""
        provider: Provider | None = provider_from_environment() if prefix == "AWS_" else None
        if provider is None:
            key, secret = (os.environ.get(f"{prefix}{name}", "") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
            if not key or not secret:
                endpoint = where if isinstance(where, str) else where.endpoint
                needed = f"{prefix}ACCESS_KEY_ID and {prefix}SECRET_ACCESS_KEY"
                raise Denied(f"no key for {endpoint}: the Secret needs {needed}")
            provider = StaticProvider(key, secret)
        return cls.with_provider(where, provider, fields=fields, patience=patience)

    def get(self, bucket: str, key: str) -> bytes:
        """Whole object in memory; Corrupt above WHOLE bytes, as whoever wrote it must not fill the reader's memory."""

        def read() -> bytes:
            response = self._client.get_object(bucket, key)
            try:
                return bytes(response.read(WHOLE + 1))
            finally:
                response.close()
                response.release_conn()

        data = self._call(f"read s3://{bucket}/{key}", read)
        if len(data) > WHOLE:
            raise Corrupt(f"s3://{bucket}/{key} has more than {WHOLE} bytes, which nothing of ours writes there")
        return data

    def put(self, bucket: str, key: str, data: bytes, *, if_absent: bool = False) -> str:
        """Write an object, give its etag; with `if_absent` raise AlreadyExists instead of overwriting."""
        headers: dict[str, str | list[str] | tuple[str]] = {"Content-Type": "application/octet-stream"}
        if if_absent:
            headers["If-None-Match"] = "*"
        # The public put_object drops conditional headers, so the call below it is used.
        return self._call(
            f"write s3://{bucket}/{key}",
            lambda: str(self._client._put_object(bucket, key, data, headers).etag),
        )

    def stat(self, bucket: str, key: str) -> Entry | None:
        """Size and etag of an object, None if it is not there."""
        try:
            found = self._call(f"look at s3://{bucket}/{key}", lambda: self._client.stat_object(bucket, key))
        except Missing:
            return None
        return Entry(key, int(found.size or 0), (found.etag or "").strip('"'))

    def list(self, bucket: str, prefix: str, most: int | None = None) -> list[Entry]:
        """All objects below a prefix, or the first `most`."""

        def read() -> list[Entry]:
            objects = islice(self._client.list_objects(bucket, prefix=prefix, recursive=True), most)
            return [Entry(o.object_name or "", int(o.size or 0), (o.etag or "").strip('"')) for o in objects]

        return self._call(f"list s3://{bucket}/{prefix}", read)

    def upload(self, bucket: str, key: str, path: Path) -> None:
        """Write a file, in parts when it is large; parts are removed when the upload fails."""
        path.stat()  # a missing file is the caller's fault, not the store's
        put = partial(self._client.fput_object, bucket, key, str(path), part_size=UPLOAD_PART)
        self._call(f"write s3://{bucket}/{key}", put)

    def chunks(
        self, bucket: str, key: str, size: int = 1 << 18, *, offset: int = 0, length: int | None = None, etag: str = ""
    ) -> Iterator[bytes]:
        """Stream an object, or `length` bytes of it from `offset` on, in chunks.

        With an `etag` all bytes are of that very object; Changed when there is another one. A broken stream goes on
        where it ended; patience counts from its last chunk.
        """
        what, last = f"read s3://{bucket}/{key}", time.monotonic()
        end = None if length is None else offset + length
        while end is None or offset < end:
            left = 0 if end is None else end - offset
            response = self._call(what, partial(self._open, bucket, key, offset, left, etag))
            try:
                for chunk in response.stream(size):
                    yield chunk
                    offset, last = offset + len(chunk), time.monotonic()
                return
            except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as fault:
                if time.monotonic() - last >= self._patience:
                    raise Unavailable(f"cannot {what} at {self._route.endpoint}: {fault}") from fault
            finally:
                response.close()
                response.release_conn()

    def _open(self, bucket: str, key: str, offset: int, length: int, etag: str) -> Any:
        """GET, and the body to come."""
        headers: Any = {"If-Match": f'"{etag}"'} if etag else None
        try:
            return self._client.get_object(bucket, key, offset=offset, length=length, request_headers=headers)
        except S3Error as fault:
            if fault.code != "PreconditionFailed":
                raise
            raise Changed(f"s3://{bucket}/{key} is another object than was listed") from fault

    def delete_prefix(self, bucket: str, prefix: str) -> int:
        """Delete everything below a prefix, manifests first; gives how many objects there were."""
        if not prefix.endswith("/"):
            raise ValueError(f"a prefix to delete must end in '/': {prefix!r}")
        keys = [entry.key for entry in self.list(bucket, prefix)]
        manifests = [key for key in keys if key.endswith(f"/{MANIFEST}")]
        for batch in (manifests, [key for key in keys if key not in set(manifests)]):
            self.delete(bucket, batch)
        return len(keys)

    def delete(self, bucket: str, keys: Sequence[str]) -> None:
        """Delete objects; one that is gone already is no fault."""
        if keys:
            self._call(f"delete s3://{bucket}/{keys[0]}", partial(self._delete, bucket, keys))

    def abort_uploads(self, bucket: str, prefix: str, wanted: Callable[[str], bool] = lambda key: True) -> int:
        """Remove the parts of (wanted) files below a prefix that nobody completed; gives how many files there were."""
        what = f"abort uploads to s3://{bucket}/{prefix}"
        every = self._call(what, lambda: tuple(self._uploads(bucket)))
        found = [upload for upload in every if upload.key.startswith(prefix) and wanted(upload.key)]
        for key, upload in found:
            with suppress(Missing):
                self._call(what, partial(self._client._abort_multipart_upload, bucket, key, upload))
        return len(found)

    def _uploads(self, bucket: str) -> Iterator[Upload]:
        """Every upload under way: MinIO answers no prefix but a whole key, so all are asked for."""
        marker, more = None, True
        while more:
            page = self._client._list_multipart_uploads(bucket, key_marker=marker)
            yield from (Upload(str(upload.object_name), str(upload.upload_id)) for upload in page.uploads)
            marker, more = page.next_key_marker, page.is_truncated

    def _delete(self, bucket: str, keys: Sequence[str]) -> None:
        for fault in self._client.remove_objects(bucket, [DeleteObject(key) for key in keys]):
            told = f"cannot delete s3://{bucket}/{fault.name}: {fault.code}: {fault.message}"
            raise from_code(fault.code, told, self._route)

    def ensure_bucket(self, bucket: str) -> None:
        """Make the bucket if it is not there."""

        def ensure() -> None:
            if not self._client.bucket_exists(bucket):
                self._client.make_bucket(bucket)

        self._call(f"make bucket {bucket}", ensure)

    def _call(self, what: str, call: Callable[[], T]) -> T:
        """Run one call; translate its faults, and ask an unavailable store again while patience lasts."""
        deadline, pause = time.monotonic() + self._patience, 0.2
        while True:
            try:
                result = call()
                self._answered = True
                return result
            except Exception as fault:
                error = translate(fault, what, self._route)
                left = deadline - time.monotonic()
                if not self._is_passing(error) or left <= 0:
                    raise error from fault
            time.sleep(min(pause * random.uniform(0.5, 1.0), left))
            pause = min(pause * 2, 10.0)

    def _is_passing(self, error: StoreError) -> bool:
        """Settings that worked once are not what is wrong now."""
        return isinstance(error, Unavailable) or (self._answered and isinstance(error, Misconfigured))
