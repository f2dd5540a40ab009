"""Posts progress to the operator's endpoint: quickly or not at all, training never waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import urllib3

from modelyard.api.run import CA_PATH

TIMEOUT = urllib3.Timeout(connect=3.0, read=5.0)


class PostError(Exception):
    """The endpoint did not take a post."""


class Poster:
    """Sends a body to one address with the pod's token, which the kubelet renews in its file."""

    def __init__(self, url: str, ca: str, token: Path) -> None:
        self._url, self._token = url, token
        self._pool = urllib3.PoolManager(ca_certs=ca, cert_reqs="CERT_REQUIRED", timeout=TIMEOUT, retries=False)

    def __call__(self, body: bytes) -> None:
        """POST; PostError if it was not taken."""
        headers = {"Authorization": f"Bearer {self._token.read_text().strip()}", "Content-Type": "application/json"}
        answer = self._pool.request("POST", self._url, body=body, headers=headers)
        if answer.status != 200:
            raise PostError(f"{self._url} answered {answer.status}: {answer.data[:300].decode(errors='replace')}")


def poster_from_environment(env: Mapping[str, str] = os.environ) -> Callable[[bytes], Any]:
    """What the operator set in the pod; without an address (a run by hand) posts go nowhere."""
    url = env.get("KUBEFLOW_TRAINER_SERVER_URL")
    if not url:
        return lambda body: None
    token = Path(env.get("KUBEFLOW_TRAINER_SERVER_TOKEN", ""))
    return Poster(url, env.get("KUBEFLOW_TRAINER_SERVER_CA_CERT", CA_PATH), token)
