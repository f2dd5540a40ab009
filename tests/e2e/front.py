"""In a pod: TLS before the store at port 9443, and a proxy at port 3128 that prints where it was asked to connect.

python front.py STORE_HOST STORE_PORT, with the certificate in /certs.
"""

import select
import socket
import ssl
import sys
import threading
from socketserver import BaseRequestHandler, ThreadingTCPServer

STORE = (sys.argv[1], int(sys.argv[2]))
TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
TLS.load_cert_chain("/certs/tls.crt", "/certs/tls.key")


def pump(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until one side hangs up."""
    pairs = {one: other, other: one}
    while True:
        waiting = [s for s in pairs if isinstance(s, ssl.SSLSocket) and s.pending()]
        for source in waiting or select.select(list(pairs), [], [])[0]:
            data = source.recv(65536)
            if not data:
                return
            pairs[source].sendall(data)


class Front(BaseRequestHandler):
    """TLS outside, plain inside."""

    def handle(self) -> None:
        """One connection."""
        with TLS.wrap_socket(self.request, server_side=True) as client, socket.create_connection(STORE) as store:
            pump(client, store)


class Proxy(BaseRequestHandler):
    """CONNECT and nothing else."""

    def handle(self) -> None:
        """One connection."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.request.recv(65536) or b"\r\n\r\n"
        method, _, target = head.split(b"\r\n")[0].partition(b" ")
        if method != b"CONNECT":
            return
        address = target.split()[0].decode()
        print(self.client_address[0], address, flush=True)
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))) as behind:
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pump(self.request, behind)


class Server(ThreadingTCPServer):
    """Quiet about clients that hang up."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    threading.Thread(target=Server(("", 3128), Proxy).serve_forever, daemon=True).start()
    Server(("", 9443), Front).serve_forever()
