"""A mesh's injector: a mutating webhook that puts a sidecar which never ends by itself before our own container."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dev.localcluster.controlplane import authority
from dev.localcluster.pki import Subject
from tests.e2e.harness import ClusterHarness

INJECT = {"mesh.example.com/inject": "true"}
"""Label of the pods that get a sidecar."""
SIDECAR = "mesh-proxy"
UNTIL_ASKED = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"


def sidecar_of(pod: dict[str, Any]) -> dict[str, Any]:
    """The container; it borrows an image that is there already, and what a restricted namespace asks for."""
    ours = pod["spec"]["containers"][0]
    return {
        "name": SIDECAR,
        "image": ours["image"],
        "command": ["python3", "-c", UNTIL_ASKED],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": ours["securityContext"],
    }


@contextmanager
def injector(harness: ClusterHarness) -> Iterator[None]:
    """While it lasts, every new pod of the namespace that bears the label gets the sidecar."""
    certificate, key = authority().issue("injector", Subject("injector", names=("IP:127.0.0.1",)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Webhook)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    harness.cluster.apply(_configuration(harness.namespace, server.server_address[1]))
    try:
        yield
    finally:
        harness.cluster.kube("delete", "mutatingwebhookconfiguration", harness.namespace)
        server.shutdown()


class _Webhook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        patch = [{"op": "add", "path": "/spec/containers/0", "value": sidecar_of(request["object"])}]
        response = {
            "uid": request["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(json.dumps(patch).encode()).decode(),
        }
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def _configuration(namespace: str, port: int) -> dict[str, Any]:
    bundle = base64.b64encode(authority().certificate.read_bytes()).decode()
    webhook = {
        "name": "inject.mesh.example.com",
        "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "objectSelector": {"matchLabels": INJECT},
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [webhook],
    }
