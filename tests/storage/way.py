"""What stands between a pod and its bucket: a TLS front with a certificate of an own authority, a proxy, host names."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

from dev.localcluster.pki import Authority, Subject


class _Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    address_family = socket.AF_INET

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about."""


@contextlib.contextmanager
def running(handler: type[BaseRequestHandler]) -> Iterator[int]:
    """A TCP server on a free port."""
    with _Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextlib.contextmanager
def tls_front(folder: Path, backend: str, *names: str) -> Iterator[int]:
    """TLS for `backend` (host:port) with a certificate for `names`; the authority is `folder`/ca.crt."""
    authority = Authority(folder)
    authority.ensure()
    certificate, key = authority.issue(f"front-{abs(hash(names))}", Subject("store", names=names))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    host, port = backend.split(":")

    class Front(BaseRequestHandler):
        def handle(self) -> None:
            with (
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection((host, int(port))) as behind,
            ):
                _pump(client, behind)

    with running(Front) as bound:
        yield bound


class Proxy:
    """A forward proxy: CONNECT for https, whole addresses for http; `refuse` is what it answers instead."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuse = ""
        self.pause = 0.0
        """Seconds between pieces of 64 KiB that come back."""
        self.stop_after: int | None = None
        """Pieces after which nothing comes back any more."""
        self.cut_after: int | None = None
        """Pieces after which a connection is cut."""
        self.url = ""

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Proxy]:
        proxy = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                proxy._serve(self.request)

        with running(Handler) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = client.recv(65536)
            if not data:
                return
            head += data
        method, target, version = head.split(b"\r\n", 1)[0].split()
        self.asked.append(f"{method.decode()} {target.decode()}")
        if self.refuse:
            client.sendall(f"HTTP/1.1 {self.refuse}\r\nContent-Length: 0\r\n\r\n".encode())
        elif method == b"CONNECT":
            host, port = target.decode().rsplit(":", 1)
            with socket.create_connection((host, int(port))) as behind:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _pump(client, behind)
        else:
            parts = urlsplit(target.decode())
            path = target.decode().split(parts.netloc, 1)[1] or "/"
            line = b" ".join([method, path.encode(), version])
            rest = head.split(b"\r\n", 1)[1]
            with socket.create_connection((parts.hostname, parts.port or 80)) as behind:
                # One request a connection: the next one may go elsewhere.
                behind.sendall(line + b"\r\nConnection: close\r\n" + rest)
                if self.pause:
                    self._trickle(behind, client)
                else:
                    _pump(client, behind)

    def _trickle(self, behind: socket.socket, client: socket.socket) -> None:
        for piece in itertools.count():
            data = behind.recv(65536, socket.MSG_WAITALL)
            if not data or piece == self.cut_after:
                return
            if piece == self.stop_after:
                client.settimeout(30)
                client.recv(1)  # until the client gives up
                return
            client.sendall(data)
            time.sleep(self.pause)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one side hangs up."""
    pairs = {one: other, other: one}
    while True:
        waiting = [s for s in pairs if isinstance(s, ssl.SSLSocket) and s.pending()]
        for source in waiting or select.select(list(pairs), [], [], 30)[0]:
            data = source.recv(65536)
            if not data:
                return
            pairs[source].sendall(data)
