"""An API server, a store, and something that answers as every version's server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.minio import MinioServer
from tests.cluster.installed import ACCOUNT
from tests.cluster.kubectl import Kubectl
from tests.upgrade.runtime import HEAD, Ground, crds_of

VERSION = re.compile(r"-v(\d+)(?:-\d+)?\.")


class Server(BaseHTTPRequestHandler):
    """Answers predictions as the version that the asked host names."""

    def do_GET(self) -> None:
        """Ready."""
        self._say({})

    def do_POST(self) -> None:
        """A prediction."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = VERSION.search(self.headers["Host"])
        self._say({"model_version": found[1] if found else "", "outputs": []})

    def log_message(self, *args: object) -> None:
        """Nothing."""

    def _say(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def standing(crds: str = "") -> Iterator[Ground]:
    """All of it, with definitions served (those of this checkout by default) and the operator's account at work."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with ApiServer(audit=True) as api, MinioServer() as minio:
        define(Kubectl(api.kubeconfig), crds or crds_of(HEAD))
        Kubectl(api.kubeconfig).ok(
            "create", "clusterrolebinding", "operator", "--clusterrole=cluster-admin", f"--user={ACCOUNT}"
        )
        yield Ground(api, minio, server.server_address[1])
    server.shutdown()


def define(admin: Kubectl, crds: str) -> None:
    """Definitions come, or take the place of others, and are served."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(yaml.load_all(crds, yaml.CSafeLoader))}
    admin.ok("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=listed)
    admin.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
