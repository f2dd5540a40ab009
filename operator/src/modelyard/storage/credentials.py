"""A run's short-lived store keys from the operator's endpoint: renewed at half of their life, kept through outages."""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import urllib3
from minio.credentials import Credentials, Provider

from modelyard.api.run import CA_PATH, TOKEN_PATH
from modelyard.storage.errors import Denied, StoreError, Unavailable

log = logging.getLogger(__name__)
URL, PATIENCE = "MODELYARD_CREDENTIALS_URL", "MODELYARD_CREDENTIALS_PATIENCE"
OUTAGE_SECONDS = 600.0
"""How long a pod without valid keys waits for an operator that is away."""
REFUSED_SECONDS = 60.0
"""How long it asks again after a refusal: an operator that has just started may not have seen the pod yet."""
AGAIN_SECONDS = 15.0
LAST_SECONDS = 30.0
"""Keys that end sooner are not used any more."""
TIMEOUT = urllib3.Timeout(connect=5.0, read=15.0)


class EndpointProvider(Provider):  # type: ignore[misc]
    """Asks one address with the pod's token, which the kubelet renews in its file; safe in threads."""

    def __init__(self, url: str, ca: str, token: Path, patience: float = OUTAGE_SECONDS) -> None:
        self._url, self._token, self._patience = url, token, patience
        self._pool = urllib3.PoolManager(ca_certs=ca, cert_reqs="CERT_REQUIRED", timeout=TIMEOUT, retries=False)
        self._lock = threading.Lock()
        self._current: Credentials | None = None
        self._renew_at = self._end_at = 0.0
        self._complained = False
        self._now: Callable[[], float] = time.monotonic
        self._sleep: Callable[[float], None] = time.sleep

    def retrieve(self) -> Credentials:
        """Keys that are valid now; StoreError when there are none and waiting does not help."""
        with self._lock:
            if self._current is None or self._now() >= self._renew_at:
                self._renew()
            if self._current is None or self._now() >= self._end_at - LAST_SECONDS:
                self._current = None
                self._wait()
            assert self._current is not None
            return self._current

    def _renew(self) -> None:
        """Once; old keys stay in use when that fails."""
        try:
            self._take(self._ask())
        except StoreError as fault:
            self._renew_at = self._now() + AGAIN_SECONDS * random.uniform(0.7, 1.0)
            if not self._complained:
                log.warning("no new store keys, asked again until there are: %s", fault.message)
            self._complained = True

    def _wait(self) -> None:
        """Until there are keys, or patience ends."""
        started, pause = self._now(), 0.5
        while True:
            try:
                return self._take(self._ask())
            except StoreError as fault:
                limit = min(REFUSED_SECONDS, self._patience) if isinstance(fault, Denied) else self._patience
                if self._now() - started + pause > limit or fault.reason not in (Denied.reason, Unavailable.reason):
                    raise
            self._sleep(pause * random.uniform(0.7, 1.0))
            pause = min(pause * 2, 10.0)

    def _take(self, found: dict[str, Any]) -> None:
        self._complained = False
        left = (datetime.fromisoformat(found["Expiration"]) - datetime.now(UTC)).total_seconds()
        self._current = Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])
        self._end_at, self._renew_at = self._now() + left, self._now() + left / 2

    def _ask(self) -> dict[str, Any]:
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            answer = self._pool.request("GET", self._url, headers=headers)
            found: dict[str, Any] = json.loads(answer.data)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as fault:
            raise Unavailable(f"no store keys from {self._url}: {type(fault).__name__}: {fault}") from fault
        if answer.status == 200:
            return found
        raise _refusal(answer.status, f"{self._url} answered {answer.status}: {found.get('message', '')}", found)


def _refusal(status: int, text: str, found: dict[str, Any]) -> StoreError:
    """What the endpoint's answer means; a word of its own is kept, and final."""
    if status in (501, 403, 401, 404, 405):
        fault: StoreError = Denied(text)
        if status == 501 or found.get("reason") == "NotAllowed":
            fault.reason, fault.message = str(found.get("reason")), str(found.get("message"))
        return fault
    return Unavailable(text)


def provider_from_environment(env: Mapping[str, str] = os.environ) -> EndpointProvider | None:
    """What the operator set in the pod; None where the pod has a key of its own."""
    url = env.get(URL)
    if not url:
        return None
    token = Path(env.get("MODELYARD_CREDENTIALS_TOKEN", f"{TOKEN_PATH}/credentials/token"))
    return EndpointProvider(url, env.get("MODELYARD_CA", CA_PATH), token, float(env.get(PATIENCE, OUTAGE_SECONDS)))
