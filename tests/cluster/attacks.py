"""What tenant A tries against tenant B, and against the installation: each must fail for the reason that we claim.

An attack counts where a real server said no because of something of ours: chart, CRDs, policies, endpoint, keys.
What any cluster refuses, and what only the operator does not believe, is tried and listed, and does not count.

Real parts: API server, controller manager, the chart with its roles and policies, the operator with its endpoint, and a
store with STS. A is `alice`, who has the built-in role `edit` in team-a, and `mallory`, to whom somebody gave
everything there. No attack counts as refused by a NetworkPolicy.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.credentials import Credentials
from minio.error import S3Error
from minio.signer import sign_v4_s3

from modelyard import names
from modelyard.api import layout
from tests.cluster.harness import OperatorHarness
from tests.cluster.kubectl import Kubectl

A, B = "team-a", "team-b"
JOB = "reviews"
INLINE = {"task": "text-classification", "source": {"inline": [{"text": "good", "label": "yes"}]}}


@dataclass
class Site:
    """Both tenants at work, and A's means."""

    a: OperatorHarness
    b: OperatorHarness
    alice: Kubectl
    mallory: Kubectl
    store: str
    """Host and port."""
    keys: dict[str, str] = field(default_factory=dict)
    """Short-lived keys that the endpoint gave to A's pod."""
    version: dict[str, Any] = field(default_factory=dict)
    """B's ModelVersion."""

    def job(self, harness: OperatorHarness, owner: str) -> str:
        """Name of the Job of a FineTuneJob."""
        return harness.children("job", owner)[0]

    def pod(self, harness: OperatorHarness, job: str) -> dict[str, Any]:
        """A pod of a Job."""
        return next(pod for pod in harness.listed("pod") if pod["metadata"].get("labels", {}).get("job-name") == job)

    def token(
        self, harness: OperatorHarness, pod: dict[str, Any], job: str, purpose: str, *, bound: bool = True
    ) -> str:
        """What the kubelet would project into a pod."""
        words = ["create", "token", "default", "--audience", names.audience(job, purpose)]
        meta = pod["metadata"]
        bind = ["--bound-object-kind=Pod", f"--bound-object-name={meta['name']}", f"--bound-object-uid={meta['uid']}"]
        return harness.kube(*words, *(bind if bound else ())).strip()

    def ask(self, token: str, namespace: str, job: str, purpose: str) -> tuple[int, dict[str, Any]]:
        """One request to the operator's endpoint."""
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", self.a.endpoint, cert_reqs="CERT_NONE", retries=False)
        path = f"/v1/namespaces/{namespace}/jobs/{job}/{purpose}"
        body = json.dumps({"trainerStatus": {"metrics": [{"name": "loss", "value": "0.5"}]}}).encode()
        method = "POST" if purpose == names.PROGRESS else "GET"
        headers = {"Authorization": f"Bearer {token}"}
        answer = pool.request(method, path, body=body if method == "POST" else None, headers=headers)
        REFUSALS.extend([OPERATORS_ENDPOINT] if answer.status in (401, 403) else ())
        return answer.status, dict(json.loads(answer.data))

    def s3(self) -> Minio:
        """A's client with A's keys."""
        key, secret, token = (self.keys[name] for name in ("AccessKeyId", "SecretAccessKey", "Token"))
        return Minio(
            endpoint=self.store,
            access_key=key,
            secret_key=secret,
            session_token=token,
            secure=False,
            region="us-east-1",
        )

    def raw_get(self, path: str) -> tuple[int, bytes]:
        """A signed GET of a path that no client library would send."""
        keys = Credentials(*(self.keys[name] for name in ("AccessKeyId", "SecretAccessKey", "Token")))
        now, nothing = datetime.now(UTC), hashlib.sha256(b"").hexdigest()
        date = now.strftime("%Y%m%dT%H%M%SZ")
        headers: Any = {"Host": self.store, "x-amz-date": date, "x-amz-content-sha256": nothing}
        headers["x-amz-security-token"] = keys.session_token
        url = urlsplit(f"http://{self.store}{path}")
        signed = sign_v4_s3(
            method="GET",
            url=url,
            region="us-east-1",
            headers=headers,
            credentials=keys,
            content_sha256=nothing,
            date=now,
        )
        connection = http.client.HTTPConnection(self.store, timeout=10)
        connection.request("GET", path, headers=signed)
        answer = connection.getresponse()
        REFUSALS.extend([STORE] if answer.status in (400, 403) else ())
        return answer.status, answer.read()

    @property
    def b_prefix(self) -> str:
        """Where B's published version lies."""
        return layout.split_uri(self.version["spec"]["uri"])[1]


@dataclass(frozen=True)
class Attack:
    """One try: what A does, and what refuses it."""

    what: str
    by: str
    run: Callable[[Site], None]

    @property
    def counts(self) -> bool:
        """True where a real server refuses because of us."""
        return self.by in REFUSING and self.by != KUBERNETES


ATTACKS: list[Attack] = []


def attack(what: str, by: str) -> Callable[[Callable[[Site], None]], None]:
    """Add a try to the list."""

    def add(run: Callable[[Site], None]) -> None:
        ATTACKS.append(Attack(what, by, run))

    return add


def forbidden(kubectl: Kubectl, *words: str, stdin: Any = None) -> str:
    """A command that the API server forbids, for want of permission or by a policy."""
    told = kubectl.refused(*words, stdin=stdin)
    assert "Error from server (Forbidden)" in told or "is forbidden" in told, told
    REFUSALS.append(API)
    return told


def refused(kubectl: Kubectl, told: str, obj: dict[str, Any], *options: str) -> None:
    """An object that the API server does not take, with this in its message."""
    message = kubectl.refused("-n", A, "create", *options, "-f", "-", stdin=obj)
    assert told in message, message
    REFUSALS.append(API)


def denied(call: Callable[[], Any]) -> None:
    """The store refuses."""
    try:
        found = call()
    except S3Error as fault:
        assert fault.code in ("AccessDenied", "InvalidObjectName", "XMinioInvalidObjectName"), fault
        REFUSALS.append(STORE)
        return
    raise AssertionError(f"the store answered {found!r}")


API, OPERATORS_ENDPOINT, STORE = "API server", "endpoint", "store"
REFUSALS: list[str] = []
"""Servers that have said no, in order: whoever runs an attack looks at what came."""
KUBERNETES = "Kubernetes (RBAC)"
RBAC, POLICY, SCHEMA = "the chart's roles", "ValidatingAdmissionPolicy", "CRD schema"
ENDPOINT, STS, OPERATOR = "endpoint (TokenReview)", "store policy (STS)", "operator"
REFUSING = {KUBERNETES: API, RBAC: API, POLICY: API, SCHEMA: API, ENDPOINT: OPERATORS_ENDPOINT, STS: STORE}
"""What refuses -> the real server that says so. What the operator does not believe is refused by no server."""
