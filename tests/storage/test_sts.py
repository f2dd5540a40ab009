"""Keys from a real store's token service: what they open, and what they must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from minio.credentials import StaticProvider

from dev.localcluster.minio import MinioServer
from modelyard.api.access import Access, Place
from modelyard.api.layout import file_key
from modelyard.api.store import StoreConnection
from modelyard.storage.errors import Denied, Unavailable
from modelyard.storage.fetch import check_listing, fetch_verified
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from modelyard.storage.sts import NoSts, Sts

OWN, ROWS, OTHER = "ns/a/models/m/runs/1/", "ns/a/datasets/d/1/", "ns/b/models/m/runs/1/"


@pytest.fixture
def base(store: Store, bucket: str) -> str:
    name = f"base-{bucket}"
    store.ensure_bucket(name)
    for key in ("minilm/config.json", "minilm-secret/config.json", "one.jsonl", "one.jsonl.bak"):
        store.put(name, key, b"{}")
    for prefix in (ROWS, OTHER, "ns/a/models/m/runs/12/"):
        store.put(bucket, f"{prefix}file", b"theirs")
    return name


@pytest.fixture
def limited(minio: MinioServer, bucket: str, base: str) -> Store:
    """A store with the keys of run 1 of namespace a."""
    read = (Place(bucket, ROWS), Place(base, "minilm/"), Place(base, "one.jsonl"))
    sts = Sts(StoreConnection(endpoint=minio.url), minio.access_key, minio.secret_key)
    keys = sts.keys(Access((Place(bucket, OWN),), read), "m-1")
    return Store.with_provider(minio.url, StaticProvider(keys.access_key, keys.secret_key, keys.session_token))


def test_all_that_a_run_does(limited: Store, bucket: str, base: str, folder: Path, tmp_path: Path) -> None:
    (folder / "large.safetensors").write_bytes(b"x" * (12 << 20))  # uploaded in parts
    manifest, digest = publish(limited, bucket, f"{OWN}version/", folder, "model", {})
    check_listing(limited, bucket, f"{OWN}version/", manifest, digest)
    fetch_verified(limited, bucket, f"{OWN}version/", tmp_path / "back")
    assert limited.stat(bucket, file_key(f"{OWN}version/", digest, "config.json", ""))
    assert limited.delete_prefix(bucket, OWN) == 5
    assert limited.get(bucket, f"{ROWS}file") == b"theirs"
    assert [entry.key for entry in limited.list(base, "minilm/")] == ["minilm/config.json"]
    assert limited.get(base, "one.jsonl") == b"{}"


def test_what_is_refused(limited: Store, bucket: str, base: str) -> None:
    for key in (f"{OTHER}file", "ns/a/models/m/runs/12/file", "ns/a/models/m/numbers/1"):
        with pytest.raises((Denied, Unavailable)):
            limited.get(bucket, key)
        with pytest.raises((Denied, Unavailable)):
            limited.put(bucket, key, b"mine")
    for prefix in ("", "ns/", "ns/a/", "ns/a/models/m/runs/1", "ns/b/", OTHER):
        with pytest.raises(Denied):
            limited.list(bucket, prefix)
    with pytest.raises(Denied):
        limited.put(bucket, f"{ROWS}file", b"mine")
    with pytest.raises(Denied):
        limited.delete_prefix(bucket, ROWS)
    for key in ("minilm-secret/config.json", "one.jsonl.bak"):
        with pytest.raises(Denied):
            limited.get(base, key)
    for place in ("", "minilm", "minilm-"):
        with pytest.raises(Denied):
            limited.list(base, place)
    with pytest.raises(Denied):
        limited.put(base, "minilm/config.json", b"mine")
    with pytest.raises(Denied):
        limited.ensure_bucket("another")


def test_nothing_was_changed_by_the_refused(limited: Store, store: Store, bucket: str, base: str) -> None:
    test_what_is_refused(limited, bucket, base)
    assert store.get(bucket, f"{ROWS}file") == store.get(bucket, f"{OTHER}file") == b"theirs"


def test_keys_end_after_an_hour(minio: MinioServer, bucket: str) -> None:
    sts = Sts(StoreConnection(endpoint=minio.url), minio.access_key, minio.secret_key)
    end = sts.keys(Access((Place(bucket, OWN),)), "m-1").expiration
    assert 3500 < (end.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() <= 3601


@pytest.mark.parametrize("role", ["", "arn:aws:iam::1:role/modelyard"])
def test_the_role_is_asked_for_where_one_is_set(plain: str, role: str) -> None:
    STATUS[0] = 200
    ASKED.clear()
    with pytest.raises(NoSts):
        Sts(StoreConnection(endpoint=plain), "key", "secret", role).keys(Access((Place("b", "p/"),)), "session")
    assert ASKED.get("RoleArn", "") == role and ASKED["DurationSeconds"] == "3600"


def test_a_wrong_key_gets_none(minio: MinioServer) -> None:
    with pytest.raises(NoSts, match="HTTP 40"):
        Sts(StoreConnection(endpoint=minio.url), minio.access_key, "wrong-secret").keys(
            Access((Place("b", "p/"),)), "s"
        )


def test_a_store_that_is_away(minio: MinioServer) -> None:
    with pytest.raises(Unavailable):
        Sts(StoreConnection(endpoint="http://127.0.0.1:9"), "key", "secret").keys(Access((Place("b", "p/"),)), "s")


class Plain(BaseHTTPRequestHandler):
    """A store that knows no token service, and answers with STATUS."""

    def do_POST(self) -> None:
        status = STATUS[0]
        ASKED.update(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"<html>not here</html>" if status == 200 else b"")

    def log_message(self, format: str, *words: object) -> None:
        """Nothing."""


STATUS = [200]
ASKED: dict[str, str] = {}
"""What the last request asked for."""


@pytest.fixture
def plain() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 501])
def test_a_store_without_sts_is_named(plain: str, status: int) -> None:
    STATUS[0] = status
    with pytest.raises(NoSts, match="gives no short-lived keys"):
        Sts(StoreConnection(endpoint=plain), "key", "secret").keys(Access((Place("b", "p/"),)), "s")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_tired_store_is_asked_again(plain: str, status: int) -> None:
    STATUS[0] = status
    with pytest.raises(Unavailable):
        Sts(StoreConnection(endpoint=plain), "key", "secret").keys(Access((Place("b", "p/"),)), "s")
