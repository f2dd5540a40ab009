"""What tenant A tries against tenant B, and against the installation: each must fail for the reason that we claim.

Real parts: API server, controller manager, the chart with its roles and policies, the operator with its endpoint, and a
store with STS. A is `alice`, who has the built-in role `edit` in team-a, and `mallory`, to whom somebody gave
everything there. No attack counts as refused by a NetworkPolicy.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.credentials import Credentials
from minio.error import S3Error
from minio.signer import sign_v4_s3

from modelyard import names
from modelyard.api import layout
from modelyard_server.fetch import check_namespace
from tests.cluster.kubectl import Kubectl
from tests.cluster.life import BUCKET, Life
from tests.cluster.manifests import smallest

A, B = "team-a", "team-b"
JOB = "reviews"
INLINE = {"task": "text-classification", "source": {"inline": [{"text": "good", "label": "yes"}]}}


@dataclass
class Site:
    """Both tenants at work, and A's means."""

    a: Life
    b: Life
    alice: Kubectl
    mallory: Kubectl
    store: str
    """Host and port."""
    keys: dict[str, str] = field(default_factory=dict)
    """Short-lived keys that the endpoint gave to A's pod."""
    version: dict[str, Any] = field(default_factory=dict)
    """B's ModelVersion."""

    def job(self, life: Life, owner: str) -> str:
        """Name of the Job of a FineTuneJob."""
        return life.children("job", owner)[0]

    def pod(self, life: Life, job: str) -> dict[str, Any]:
        """A pod of a Job."""
        return next(pod for pod in life.listed("pod") if pod["metadata"].get("labels", {}).get("job-name") == job)

    def token(self, life: Life, pod: dict[str, Any], job: str, purpose: str, *, bound: bool = True) -> str:
        """What the kubelet would project into a pod."""
        words = ["create", "token", "default", "--audience", names.audience(job, purpose)]
        meta = pod["metadata"]
        bind = ["--bound-object-kind=Pod", f"--bound-object-name={meta['name']}", f"--bound-object-uid={meta['uid']}"]
        return life.kube(*words, *(bind if bound else ())).strip()

    def ask(self, token: str, namespace: str, job: str, purpose: str) -> tuple[int, dict[str, Any]]:
        """One request to the operator's endpoint."""
        pool = urllib3.HTTPSConnectionPool("127.0.0.1", self.a.endpoint, cert_reqs="CERT_NONE", retries=False)
        path = f"/v1/namespaces/{namespace}/jobs/{job}/{purpose}"
        body = json.dumps({"trainerStatus": {"metrics": [{"name": "loss", "value": "0.5"}]}}).encode()
        method = "POST" if purpose == names.PROGRESS else "GET"
        headers = {"Authorization": f"Bearer {token}"}
        answer = pool.request(method, path, body=body if method == "POST" else None, headers=headers)
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


ATTACKS: list[Attack] = []


def attack(what: str, by: str) -> Callable[[Callable[[Site], None]], None]:
    """Add a try to the list."""

    def add(run: Callable[[Site], None]) -> None:
        ATTACKS.append(Attack(what, by, run))

    return add


def forbidden(kubectl: Kubectl, *words: str, stdin: Any = None) -> str:
    """A command that the API server forbids, for want of permission or by a policy."""
    told = kubectl.refused(*words, stdin=stdin)
    assert "forbidden" in told.lower(), told
    return told


def refused(kubectl: Kubectl, told: str, obj: dict[str, Any], *options: str) -> None:
    """An object that the API server does not take, with this in its message."""
    message = kubectl.refused("-n", A, "create", *options, "-f", "-", stdin=obj)
    assert told in message, message


def denied(call: Callable[[], Any]) -> None:
    """The store refuses."""
    try:
        found = call()
    except S3Error as fault:
        assert fault.code in ("AccessDenied", "InvalidObjectName", "XMinioInvalidObjectName"), fault
        return
    raise AssertionError(f"the store answered {found!r}")


RBAC, POLICY, SCHEMA = "RBAC", "ValidatingAdmissionPolicy", "CRD schema"
ENDPOINT, STS, OPERATOR = "endpoint (TokenReview)", "store policy (STS)", "operator"

# Permissions: alice has `edit` in team-a and nothing else.


@attack("reads a Secret of B", RBAC)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", B, "get", "secret", "theirs")


@attack("lists the Secrets of all namespaces", RBAC)
def _(site: Site) -> None:
    forbidden(site.alice, "get", "secrets", "-A")


@attack("reads the operator's key to the store", RBAC)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", "ops", "get", "secret", "yard-modelyard-store")


@attack("reads the private key of the endpoint's authority", RBAC)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", "ops", "get", "secret", names.SECRET_ENDPOINT_CA)


@attack("mints a token of B's ServiceAccount", RBAC)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", B, "create", "token", "default")


@attack("mints a token of the operator's ServiceAccount", RBAC)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", "ops", "create", "token", "yard-modelyard")


@attack("acts as the operator's ServiceAccount (impersonation)", RBAC)
def _(site: Site) -> None:
    forbidden(site.mallory, "--as", "system:serviceaccount:ops:yard-modelyard", "get", "pods", "-A")


@attack("creates a FineTuneJob in B's namespace", RBAC)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", B, "create", "-f", "-", stdin=smallest("FineTuneJob", name="evil"))


@attack("creates a Job with B's Secret in B's namespace", RBAC)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", B, "create", "job", "evil", "--image=x")


@attack("reads objects of all namespaces", RBAC)
def _(site: Site) -> None:
    for kind in ("finetunejobs", "datasets", "modelversions", "modeldeployments"):
        forbidden(site.alice, "get", kind, "-A")


@attack("changes B's ModelDeployment to another version", RBAC)
def _(site: Site) -> None:
    patch = '{"spec": {"model": {"version": 1}}}'
    forbidden(site.mallory, "-n", B, "patch", "mdep", "reviews", "--type=merge", "-p", patch)


@attack("deletes B's ModelVersion with its artifacts", RBAC)
def _(site: Site) -> None:
    patch = '{"spec": {"deletionPolicy": "delete"}}'
    forbidden(site.mallory, "-n", B, "patch", "mv", "reviews-1", "--type=merge", "-p", patch)
    forbidden(site.mallory, "-n", B, "delete", "mv", "reviews-1")


@attack("raises the limits of a TrainingProfile", RBAC)
def _(site: Site) -> None:
    patch = '{"spec": {"limits": null, "namespaces": null}}'
    forbidden(site.mallory, "patch", "trainingprofile", "gold", "--type=merge", "-p", patch)


@attack("makes a TrainingProfile with an image of its own", RBAC)
def _(site: Site) -> None:
    profile = smallest("TrainingProfile", name="evil", trainer={"image": "evil:1"})
    forbidden(site.mallory, "create", "-f", "-", stdin=profile)


@attack("binds the operator's ClusterRole to itself", RBAC)
def _(site: Site) -> None:
    words = ("create", "clusterrolebinding", "evil", "--clusterrole=yard-modelyard", "--user=mallory")
    forbidden(site.mallory, *words)


@attack("switches the policies off", RBAC)
def _(site: Site) -> None:
    forbidden(site.mallory, "delete", "validatingadmissionpolicybinding", "yard-modelyard-writers")


# Status: whatever the operator believes, the operator wrote.


@attack("writes the status of its FineTuneJob with the role edit", RBAC)
def _(site: Site) -> None:
    patch = '{"status": {"phase": "Succeeded"}}'
    forbidden(site.alice, "-n", A, "patch", "ftj", JOB, "--subresource=status", "--type=merge", "-p", patch)


@attack("pins its run to B's rows in status, with all rights in its own namespace", POLICY)
def _(site: Site) -> None:
    patch = json.dumps({"status": {"run": {"pinned": {"dataset": {"prefix": f"ns/{B}/datasets/rows/"}}}}})
    told = forbidden(site.mallory, "-n", A, "patch", "ftj", JOB, "--subresource=status", "--type=merge", "-p", patch)
    assert "mallory may not write finetunejobs/status" in told


@attack("points the status of its Dataset at B's rows", POLICY)
def _(site: Site) -> None:
    patch = json.dumps({"status": {"prefix": f"ns/{B}/datasets/rows/"}})
    told = forbidden(
        site.mallory, "-n", A, "patch", "dset", "rows", "--subresource=status", "--type=merge", "-p", patch
    )
    assert "mallory may not write datasets/status" in told


@attack("creates a ModelVersion that names B's artifacts", POLICY)
def _(site: Site) -> None:
    spec = {**site.version["spec"], "model": "stolen"}
    version = {**smallest("ModelVersion", name="stolen-1"), "spec": spec}
    refused(site.mallory, "mallory may not write modelversions", version)


@attack("has a ModelVersion of B's artifacts restored by an administrator who does not look", OPERATOR)
def _(site: Site) -> None:
    spec = {**site.version["spec"], "model": "stolen"}
    site.a.create({**smallest("ModelVersion", name="stolen-1"), "spec": spec})
    site.a.until("its verdict", lambda: "InvalidSpec" in str(site.a.get("mv", "stolen-1").get("status")))
    conditions = site.a.get("mv", "stolen-1")["status"]["conditions"]
    assert {c["type"]: c["status"] for c in conditions}["Ready"] == "False"
    site.a.kube("delete", "mv", "stolen-1")


@attack("claims with a ModelVersion a number that another run of its own holds no claim to", OPERATOR)
def _(site: Site) -> None:
    spec = {**site.version["spec"], "number": 77}
    prefix = layout.version_prefix(layout.run_prefix(A, "reviews", spec["lineage"]["run"]))
    spec["uri"] = f"s3://{BUCKET}/{prefix}"
    site.a.create({**smallest("ModelVersion", name="reviews-77"), "spec": spec})
    site.a.until("its verdict", lambda: "NumberNotClaimed" in str(site.a.get("mv", "reviews-77").get("status")))
    site.a.kube("delete", "mv", "reviews-77")


# Prefixes: what a spec may name.


@attack("trains from B's version (spec.from.base)", POLICY)
def _(site: Site) -> None:
    told = f"of ns/ in the artifact store namespace {A} may only name ns/{A}/"
    refused(site.alice, told, smallest("FineTuneJob", name="x", **{"from.base": site.version["spec"]["uri"]}))


@attack("trains from the whole bucket", POLICY)
def _(site: Site) -> None:
    refused(site.alice, "may only name", smallest("FineTuneJob", name="x", **{"from.base": f"s3://{BUCKET}/"}))


@attack("prepares B's rows as its Dataset", POLICY)
def _(site: Site) -> None:
    uri = f"s3://{BUCKET}/ns/{B}/datasets/rows/"
    refused(site.alice, "may only name", smallest("Dataset", name="x", **{"source.s3.uri": uri}))


@attack("prepares B's rows through another name of the same store", POLICY)
def _(site: Site) -> None:
    source = {"uri": f"s3://{BUCKET}/ns/{B}/datasets/rows/", "endpoint": f"http://{site.store}"}
    refused(site.alice, "may only name", smallest("Dataset", name="x", **{"source.s3": source}))


@attack("prepares B's rows in a Dataset written inside a job", POLICY)
def _(site: Site) -> None:
    inline = {"task": "text-classification", "source": {"s3": {"uri": f"s3://{BUCKET}/ns/{B}/"}}}
    job = smallest("FineTuneJob", name="x")
    job["spec"]["dataset"] = {"inline": inline}
    refused(site.alice, "may only name", job)


@attack("climbs out of its prefix with '..'", SCHEMA)
def _(site: Site) -> None:
    uri = f"s3://{BUCKET}/ns/{A}/../{B}/models/"
    refused(site.alice, "spec.from.base", smallest("FineTuneJob", name="x", **{"from.base": uri}))
    refused(site.alice, "spec.source.s3.uri", smallest("Dataset", name="x", **{"source.s3.uri": uri}))


@attack("hides the prefix behind an empty part ('//')", SCHEMA)
def _(site: Site) -> None:
    uri = f"s3://{BUCKET}//ns/{B}/models/"
    refused(site.alice, "spec.from.base", smallest("FineTuneJob", name="x", **{"from.base": uri}))


@attack("names a Dataset of B (team-b/rows)", SCHEMA)
def _(site: Site) -> None:
    refused(site.alice, "spec.dataset.ref", smallest("FineTuneJob", name="x", dataset={"ref": f"{B}/rows"}))


@attack("uses a TrainingProfile that is offered to B alone, and so its image", POLICY)
def _(site: Site) -> None:
    refused(site.alice, "it is offered to namespaces with", smallest("FineTuneJob", name="x", profile="gold"))


@attack("asks for an image, a ServiceAccount, a namespace, environment or volumes of its own", SCHEMA)
def _(site: Site) -> None:
    for name in ("image", "serviceAccountName", "namespace", "env", "volumes", "command", "securityContext"):
        job = smallest("FineTuneJob", name="x")
        job["spec"][name] = "evil"
        refused(site.alice, f'unknown field "spec.{name}"', job, "--validate=strict")
        kept = site.alice.create(job, "-n", A, "--dry-run=server", "--validate=false")
        assert name not in kept["spec"]


# The endpoint: tokens.


@attack("posts progress for B's run with the token of its own pod", ENDPOINT)
def _(site: Site) -> None:
    job = site.job(site.a, JOB)
    token = site.token(site.a, site.pod(site.a, job), job, names.PROGRESS)
    theirs = site.job(site.b, "live")
    assert site.ask(token, B, theirs, names.PROGRESS)[0] in (401, 403)


@attack("asks for B's store keys with the token of its own pod, minted for the name of B's Job", ENDPOINT)
def _(site: Site) -> None:
    theirs = site.job(site.b, "live")
    pod = site.pod(site.a, site.job(site.a, JOB))
    status, told = site.ask(site.token(site.a, pod, theirs, names.CREDENTIALS), B, theirs, names.CREDENTIALS)
    assert status == 403 and A in told["message"], told


@attack("forges the signature or the claims of a token", ENDPOINT)
def _(site: Site) -> None:
    job = site.job(site.a, JOB)
    head, body, signature = site.token(site.a, site.pod(site.a, job), job, names.CREDENTIALS).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["kubernetes.io"]["namespace"] = B
    claims["sub"] = f"system:serviceaccount:{B}:default"
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    theirs = site.job(site.b, "live")
    nothing = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for token in (f"{head}.{forged}.{signature}", f"{nothing}.{forged}.", f"{head}.{body}.{signature[::-1]}"):
        assert site.ask(token, B, theirs, names.CREDENTIALS)[0] == 401


@attack("asks with a token of the right audience that belongs to no pod", ENDPOINT)
def _(site: Site) -> None:
    job = site.job(site.a, JOB)
    token = site.token(site.a, site.pod(site.a, job), job, names.CREDENTIALS, bound=False)
    assert site.ask(token, A, job, names.CREDENTIALS)[0] == 401


@attack("asks with a pod of its own making that is none of the run's", ENDPOINT)
def _(site: Site) -> None:
    job = site.job(site.a, JOB)
    labels = {names.LABEL_RUN: site.pod(site.a, job)["metadata"]["labels"][names.LABEL_RUN]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "evil", "labels": labels}}
    site.mallory.create({**pod, "spec": {"containers": [{"name": "x", "image": "x"}]}}, "-n", A)
    time.sleep(1)
    token = site.token(site.a, site.a.get("pod", "evil"), job, names.CREDENTIALS)
    assert site.ask(token, A, job, names.CREDENTIALS)[0] == 403


@attack("uses its run's progress token for store keys", ENDPOINT)
def _(site: Site) -> None:
    job = site.job(site.a, JOB)
    token = site.token(site.a, site.pod(site.a, job), job, names.PROGRESS)
    assert site.ask(token, A, job, names.CREDENTIALS)[0] == 401


# The store: keys that A's pod really got.


@attack("lists B's part of the bucket, or all of it", STS)
def _(site: Site) -> None:
    for prefix in (f"ns/{B}/", "ns/", ""):
        denied(lambda prefix=prefix: list(site.s3().list_objects(BUCKET, prefix=prefix, recursive=True)))  # type: ignore[misc]


@attack("reads a file of B's version", STS)
def _(site: Site) -> None:
    key = next(entry.key for entry in site.b.store.list(BUCKET, site.b_prefix))
    denied(lambda: site.s3().get_object(BUCKET, key))


@attack("overwrites the manifest of B's version", STS)
def _(site: Site) -> None:
    key = layout.manifest_key(site.b_prefix)
    before = site.b.store.get(BUCKET, key)
    denied(lambda: site.s3().put_object(BUCKET, key, io.BytesIO(b"{}"), 2))
    assert site.b.store.get(BUCKET, key) == before


@attack("deletes B's version", STS)
def _(site: Site) -> None:
    denied(lambda: site.s3().remove_object(BUCKET, layout.manifest_key(site.b_prefix)))
    assert site.b.store.stat(BUCKET, layout.manifest_key(site.b_prefix)) is not None


@attack("copies B's version into its own run on the store's side", STS)
def _(site: Site) -> None:
    own = layout.run_prefix(A, JOB, site.a.get("ftj", JOB)["status"]["run"]["id"])
    source = CopySource(BUCKET, layout.manifest_key(site.b_prefix))
    denied(lambda: site.s3().copy_object(BUCKET, f"{own}stolen", source))


@attack("claims a version number of B, or of itself past the operator", STS)
def _(site: Site) -> None:
    for namespace in (B, A):
        key = layout.number_key(namespace, JOB, 99)
        denied(lambda key=key: site.s3().put_object(BUCKET, key, io.BytesIO(b"{}"), 2))  # type: ignore[misc]


@attack("writes into a namespace whose name begins like its own, and into another run", STS)
def _(site: Site) -> None:
    run = site.a.get("ftj", JOB)["status"]["run"]["id"]
    for prefix in (f"ns/{A}b/models/{JOB}/runs/{run}/", layout.run_prefix(A, JOB, run + "0")):
        denied(lambda prefix=prefix: site.s3().put_object(BUCKET, f"{prefix}x", io.BytesIO(b"x"), 1))  # type: ignore[misc]


@attack("climbs out of its prefix in the store with '..'", STS)
def _(site: Site) -> None:
    run = layout.run_prefix(A, JOB, site.a.get("ftj", JOB)["status"]["run"]["id"])
    path = f"/{BUCKET}/{run}{'../' * run.count('/')}{layout.manifest_key(site.b_prefix)}"
    status, data = site.raw_get(path)
    assert status in (400, 403) and b"sha256" not in data, data


@attack("has a policy written with a pattern: spec.from.base s3://<bucket>/n*/", OPERATOR)
def _(site: Site) -> None:
    job = smallest("FineTuneJob", name="pattern", dataset={"ref": "rows"}, **{"from.base": f"s3://{BUCKET}/n*/"})
    site.alice.create(job, "-n", A)
    site.a.until("its verdict", lambda: "conditions" in site.a.get("ftj", "pattern").get("status", {}))
    if site.a.children("job", "pattern"):
        made = site.job(site.a, "pattern")
        token = site.token(site.a, site.pod(site.a, made), made, names.CREDENTIALS)
        assert site.ask(token, A, made, names.CREDENTIALS)[0] == 403
    site.a.kube("delete", "ftj", "pattern")


# Names that collide, and children that are none.


@attack("gives model, job and Dataset the very names of B's", OPERATOR)
def _(site: Site) -> None:
    """Same names, same spec, same run id: two runs in two places all the same."""
    ours, theirs = (life.get("ftj", JOB)["status"]["run"] for life in (site.a, site.b))
    assert ours["id"] == theirs["id"]
    assert ours["pinned"]["dataset"]["prefix"] != theirs["pinned"]["dataset"]["prefix"]
    assert site.a.get("mv", "reviews-1") == {} and site.b.get("mv", "reviews-1") != {}


@attack("makes a failed Job in its namespace that names B's FineTuneJob as its owner", OPERATOR)
def _(site: Site) -> None:
    live = site.b.get("job", site.job(site.b, "live"))
    meta = {key: live["metadata"][key] for key in ("name", "labels", "annotations", "ownerReferences")}
    pod = {"restartPolicy": "Never", "containers": [{"name": "x", "image": "x"}]}
    spec = {"activeDeadlineSeconds": 1, "backoffLimit": 0, "template": {"spec": pod}}
    site.mallory.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}, "-n", A)
    time.sleep(5)
    run = site.b.get("ftj", "live")["status"]["run"]
    assert run["state"] == "Running" and run.get("failure") is None


@attack("serves B's version from its own namespace (fetch)", "server")
def _(site: Site) -> None:
    try:
        check_namespace(site.b_prefix, A)
    except ValueError as fault:
        assert "outside this namespace" in str(fault)
        return
    raise AssertionError("fetch takes the prefix of another namespace")


@attack("deploys B's model by its name", OPERATOR)
def _(site: Site) -> None:
    made = smallest("ModelDeployment", name="theirs")
    made["spec"]["model"] = {"name": JOB, "version": 1}
    site.alice.create(made, "-n", A)
    site.a.until("its verdict", lambda: "VersionNotFound" in str(site.a.get("mdep", "theirs").get("status")))
    assert site.a.children("deployment", "theirs") == []
    site.a.kube("delete", "mdep", "theirs")
