"""A few calls to the API server as the admin, with nothing but the standard library."""

import base64
import json
import ssl
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

Manifest = dict[str, Any]
MANAGER = "kserve-standin"
NOT_FOUND = 404


class Api:
    """Plain dictionaries over HTTPS; the kubeconfig is the embedded cluster's own (JSON)."""

    def __init__(self, kubeconfig: Path) -> None:
        content = json.loads(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._url = cluster["server"]
        trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as both:
            for part in ("client-certificate-data", "client-key-data"):
                both.write(base64.b64decode(user[part]) + b"\n")
            both.flush()
            trust.load_cert_chain(both.name)
        handler = urllib.request.HTTPSHandler(context=trust)
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), handler)

    def list(self, path: str) -> list[Manifest]:
        """The items of a collection; none if its kind is not served."""
        try:
            return list(self._call("GET", path)["items"])
        except urllib.error.HTTPError as fault:
            if fault.code == NOT_FOUND:
                return []
            raise

    def apply(self, path: str, manifest: Manifest) -> Manifest:
        """Server-side apply."""
        query = f"?fieldManager={MANAGER}&force=true"
        return self._call("PATCH", path + query, manifest, "application/apply-patch+yaml")

    def merge(self, path: str, change: Manifest) -> None:
        """JSON merge patch."""
        self._call("PATCH", path, change, "application/merge-patch+json")

    def _call(self, method: str, path: str, body: Manifest | None = None, kind: str = "application/json") -> Manifest:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": kind, "Accept": "application/json"}
        request = urllib.request.Request(self._url + path, data, headers, method=method)
        with self._opener.open(request, timeout=10) as answer:
            return dict(json.load(answer))
