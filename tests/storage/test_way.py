"""Private authorities, proxies, addressing and regions: what works, and which field a message names if it does not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from minio.credentials import StaticProvider

from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from modelyard.api.access import Access, Place
from modelyard.api.layout import file_key
from modelyard.api.store import StoreConnection
from modelyard.storage.errors import Denied, Misconfigured, Missing, StoreError, Unavailable
from modelyard.storage.fetch import fetch_verified
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from modelyard.storage.sts import Sts
from tests.storage.way import Proxy, running, tls_front

NAMES = ("IP:127.0.0.1", "DNS:localhost", "DNS:store.localhost")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority")


@pytest.fixture(scope="module")
def secure(minio: MinioServer, authority: Path) -> Iterator[str]:
    """The https address of the store; its certificate is signed by an authority of its own."""
    with tls_front(authority, minio.endpoint, *NAMES) as port:
        yield f"https://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def pem(secure: str, authority: Path) -> str:
    return (authority / "ca.crt").read_text()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy()() as started:
        yield started


@pytest.fixture(scope="module")
def regional() -> Iterator[MinioServer]:
    """A store in a region of its own that takes the bucket's name from the host too."""
    with MinioServer(region="eu-west-9", domain="store.localhost") as server:
        yield server


@pytest.fixture
def local_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name below localhost is this machine, as a wildcard record makes it; others below `nowhere` are not."""
    real = socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        if str(host).endswith(".nowhere"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def opened(server: MinioServer, patience: float = 0.0, **settings: Any) -> Store:
    connection = StoreConnection(**{"endpoint": server.url, **settings})
    return Store.connect(connection, server.access_key, server.secret_key, patience=patience, timeout=5)


def fault_of(store: Store, kind: type[StoreError], *words: str, bucket: str = "bucket") -> None:
    with pytest.raises(StoreError) as caught:
        store.get(bucket, "key")
    assert type(caught.value) is kind, caught.value
    assert all(word in caught.value.message for word in words), caught.value.message


def test_an_authority_of_its_own(minio: MinioServer, secure: str, pem: str, folder: Path, tmp_path: Path) -> None:
    store = opened(minio, endpoint=secure, ca_bundle=pem)
    store.ensure_bucket("own-ca")
    publish(store, "own-ca", "v/", folder, "model", {})
    fetch_verified(store, "own-ca", "v/", tmp_path / "back")
    assert (tmp_path / "back/model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


def test_an_unknown_authority_names_the_bundle_at_once(minio: MinioServer, secure: str) -> None:
    fault_of(opened(minio, endpoint=secure, patience=60), Misconfigured, "chart value store.caBundle", secure)


def test_a_certificate_for_another_name(minio: MinioServer, authority: Path, pem: str) -> None:
    with tls_front(authority, minio.endpoint, "DNS:elsewhere.example") as port:
        store = opened(minio, endpoint=f"https://127.0.0.1:{port}", ca_bundle=pem)
        fault_of(store, Misconfigured, "use a name of the certificate in chart value store.endpoint")


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----", "not a PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----", "private key"),
    ],
)
def test_a_broken_bundle(minio: MinioServer, secure: str, bundle: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=rf"chart value store.caBundle: .*{words}"):
        opened(minio, endpoint=secure, ca_bundle=bundle)


def test_the_wrong_scheme(minio: MinioServer, regional: MinioServer, secure: str) -> None:
    plain = minio.url.replace("http:", "https:")
    fault_of(opened(minio, endpoint=plain), Misconfigured, "speaks no TLS", "chart value store.endpoint")


def test_settings_that_worked_once_are_waited_for(
    minio: MinioServer, secure: str, pem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(minio, endpoint=secure, ca_bundle=pem, patience=5)
    store.ensure_bucket("waited-for")
    store.put("waited-for", "key", b"data")
    real, faults = store._client.get_object, iter([Misconfigured("the new certificate is not trusted yet")] * 2)

    def get_object(*args: Any, **more: Any) -> Any:
        for fault in faults:
            raise fault
        return real(*args, **more)

    monkeypatch.setattr(store._client, "get_object", get_object)
    assert store.get("waited-for", "key") == b"data"


def test_a_slow_download_goes_on_and_one_that_stands_still_ends(
    minio: MinioServer, proxy: Proxy, folder: Path, tmp_path: Path
) -> None:
    direct = opened(minio)
    direct.ensure_bucket("slow")
    content = bytes(range(256)) * 8192  # 2 MiB: 32 pieces
    (folder / "model.safetensors").write_bytes(content)
    _, digest = publish(direct, "slow", "v/", folder, "model", {})
    large = file_key("v/", digest, "model.safetensors", "")
    proxy.pause, started = 0.05, time.monotonic()
    where = StoreConnection(endpoint=minio.url, proxy=proxy.url)
    slow = Store.connect(where, minio.access_key, minio.secret_key, patience=0.5, timeout=1)
    fetch_verified(slow, "slow", "v/", tmp_path / "back")
    assert time.monotonic() - started > 1.5, "longer than both patience and the wait for an answer"
    proxy.cut_after = 8  # half a MiB a connection
    assert b"".join(slow.chunks("slow", large)) == content
    proxy.stop_after, proxy.cut_after = 8, None
    with pytest.raises(Unavailable):
        fetch_verified(slow, "slow", "v/", tmp_path / "again")


@pytest.mark.parametrize("tls", [True, False])
def test_all_goes_through_the_proxy(minio: MinioServer, secure: str, pem: str, proxy: Proxy, tls: bool) -> None:
    store = opened(minio, endpoint=secure if tls else minio.url, ca_bundle=pem, proxy=proxy.url)
    store.ensure_bucket("proxied")
    store.put("proxied", "key", b"data")
    assert store.get("proxied", "key") == b"data"
    assert [entry.key for entry in store.list("proxied", "")] == ["key"]
    assert proxy.asked and all(line.startswith("CONNECT ") == tls for line in proxy.asked)
    assert tls or len(proxy.asked) >= 4


def test_short_lived_keys_come_the_same_way(minio: MinioServer, secure: str, pem: str, proxy: Proxy) -> None:
    where = StoreConnection(endpoint=secure, ca_bundle=pem, proxy=proxy.url)
    opened(minio).ensure_bucket("sts-way")
    keys = Sts(where, minio.access_key, minio.secret_key).keys(Access((Place("sts-way", "a/"),)), "s")
    provider = StaticProvider(keys.access_key, keys.secret_key, keys.session_token)
    store = Store.with_provider(where, provider)
    store.put("sts-way", "a/key", b"data")
    with pytest.raises(Denied):
        store.put("sts-way", "b/key", b"data")
    assert proxy.asked
    with pytest.raises(Misconfigured, match=r"chart value store\.caBundle"):
        Sts(StoreConnection(endpoint=secure), "k", "s").keys(Access((Place("b", "p/"),)), "s")
    plain = StoreConnection(endpoint=minio.url.replace("http:", "https:"))
    with pytest.raises(Misconfigured, match=r"port of chart value store\.sts\.endpoint"):
        Sts(plain, "k", "s", address="sts.endpoint").keys(Access((Place("b", "p/"),)), "s")


def test_a_proxy_that_is_not_there(minio: MinioServer, secure: str, pem: str) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for endpoint in (secure, minio.url):
        store = opened(minio, endpoint=endpoint, ca_bundle=pem, proxy=nobody)
        fault_of(store, Unavailable, nobody, "correct chart value store.proxy")


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ("407 Proxy Authentication Required", Misconfigured, "asks for a password"),
        ("403 Forbidden", Unavailable, "did not connect to 127.0.0.1"),
        ("502 Bad Gateway", Unavailable, "did not connect to 127.0.0.1"),
    ],
)
def test_a_proxy_that_refuses(
    minio: MinioServer, secure: str, pem: str, proxy: Proxy, answer: str, kind: type[StoreError], words: str
) -> None:
    proxy.refuse = answer
    fault_of(opened(minio, endpoint=secure, ca_bundle=pem, proxy=proxy.url), kind, words, "chart value store.proxy")


@pytest.mark.parametrize("answer", ["407 Proxy Authentication Required", "403 Forbidden", "503 Service Unavailable"])
def test_a_proxy_that_refuses_plain_requests(minio: MinioServer, proxy: Proxy, answer: str) -> None:
    proxy.refuse = answer
    with pytest.raises(StoreError) as caught:
        opened(minio, proxy=proxy.url).get("bucket", "key")
    assert "store.proxy" in caught.value.message, caught.value.message


@pytest.mark.usefixtures("local_names")
def test_the_bucket_in_the_host(regional: MinioServer) -> None:
    port = regional.endpoint.split(":")[1]
    address = f"http://store.localhost:{port}"
    store = opened(regional, endpoint=address, region="eu-west-9", addressing="virtualHost")
    store.ensure_bucket("in-host")
    store.put("in-host", "key", b"data")
    assert store.get("in-host", "key") == b"data"
    assert store._client._base_url.virtual_style_flag
    by_path = opened(regional, endpoint=address, region="eu-west-9", addressing="path")
    assert [entry.key for entry in by_path.list("in-host", "")] == ["key"]


@pytest.mark.usefixtures("local_names")
def test_a_store_that_knows_no_bucket_in_the_host(minio: MinioServer) -> None:
    port = minio.endpoint.split(":")[1]
    opened(minio).ensure_bucket("by-path")
    store = opened(minio, endpoint=f"http://store.localhost:{port}", addressing="virtualHost")
    for call in (lambda: store.list("by-path", ""), lambda: store.get("by-path", "a/key")):
        with pytest.raises(StoreError, match=r"set chart value store\.addressing to path"):
            call()


@pytest.mark.usefixtures("local_names")
def test_a_bucket_whose_host_is_unknown(minio: MinioServer) -> None:
    in_host = opened(minio, endpoint="http://store.nowhere:9000", addressing="virtualHost")
    fault_of(in_host, Unavailable, "<bucket>.store.nowhere", "chart value store.addressing to path")
    fault_of(opened(minio, endpoint="http://store.nowhere:9000"), Unavailable, "correct chart value store.endpoint")


def test_another_region(regional: MinioServer) -> None:
    store = opened(regional, patience=60)
    fault_of(store, Misconfigured, "eu-west-9", "chart value store.region (now us-east-1)")


class Redirecting(BaseHTTPRequestHandler):
    """Answers as AWS and Alibaba Cloud do where the region or the addressing is wrong."""

    code, status = "", 301

    def do_GET(self) -> None:
        body = f"<Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Silent."""


@pytest.mark.parametrize(
    ("code", "status", "field"),
    [
        ("PermanentRedirect", 301, "chart value store.region"),
        ("SecondLevelDomainForbidden", 403, "chart value store.addressing to virtualHost"),
        ("PathStyleDomainForbidden", 403, "chart value store.addressing to virtualHost"),
    ],
)
def test_words_of_clouds(minio: MinioServer, code: str, status: int, field: str) -> None:
    handler = type("Answer", (Redirecting,), {"code": code, "status": status})
    with running(handler) as port:
        fault_of(opened(minio, endpoint=f"http://127.0.0.1:{port}", patience=60), Misconfigured, field)


class Page(Redirecting):
    """A web console, as on the other port of many stores."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"<html>")


def test_packets_that_get_lost_name_who_may_drop_them(minio: MinioServer, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(minio)

    def lost(*args: Any, **more: Any) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr("urllib3.util.connection.create_connection", lost)
    fault_of(store, Unavailable, "chart value store.endpoint", "NetworkPolicy or firewall", "chart value store.proxy")


def test_something_else_answers(minio: MinioServer) -> None:
    with running(Page) as port:
        store = opened(minio, endpoint=f"http://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match=r"no S3 store .* correct chart value store\.endpoint"):
            store.list("bucket", "")


def test_the_names_of_another_owner(minio: MinioServer, secure: str) -> None:
    where = StoreConnection(endpoint=secure)
    store = Store.with_provider(where, None, fields="spec.source.s3.")
    fault_of(store, Misconfigured, "into spec.source.s3.caBundle")
    with pytest.raises(Missing):
        opened(minio).get("bucket-of-nobody", "key")
