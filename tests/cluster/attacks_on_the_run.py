"""Attacks beside kubectl: tokens at the endpoint, keys at the store, names that collide."""

from __future__ import annotations

import base64
import io
import json
import time

from minio.commonconfig import CopySource

from modelyard import names
from modelyard.api import layout
from modelyard_server.fetch import check_namespace
from tests.cluster.attacks import ENDPOINT, JOB, OPERATOR, STS, A, B, Site, attack, denied
from tests.cluster.harness import BUCKET
from tests.cluster.manifests import smallest

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


@attack("forges the record of a base: B's, and its own past the operator", STS)
def _(site: Site) -> None:
    listing = site.a.get("ftj", JOB)["status"]["run"]["pinned"]["base"]["listing"]
    for namespace in (B, A):
        key = layout.base_record_key(namespace, listing)
        before = site.b.store.get(BUCKET, key)
        denied(lambda key=key: site.s3().put_object(BUCKET, key, io.BytesIO(b"{}"), 2))  # type: ignore[misc]
        assert site.b.store.get(BUCKET, key) == before


@attack("reads what B knows of a base", STS)
def _(site: Site) -> None:
    listing = site.b.get("ftj", "live")["status"]["run"]["pinned"]["base"]["listing"]
    denied(lambda: site.s3().get_object(BUCKET, layout.base_record_key(B, listing)))


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
    ours, theirs = (harness.get("ftj", JOB)["status"]["run"] for harness in (site.a, site.b))
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
