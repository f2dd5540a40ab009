"""Attacks by kubectl: permissions, status, and what a spec may name."""

from __future__ import annotations

import json

from modelyard import names
from modelyard.api import layout
from tests.cluster import weight
from tests.cluster.attacks import (
    JOB,
    KUBERNETES,
    OPERATOR,
    POLICY,
    RBAC,
    SCHEMA,
    A,
    B,
    Site,
    attack,
    forbidden,
    refused,
)
from tests.cluster.harness import BUCKET
from tests.cluster.manifests import FULL_POD, smallest

# Permissions: alice has `edit` in team-a and nothing else.


@attack("reads a Secret of B", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", B, "get", "secret", "theirs")


@attack("lists the Secrets of all namespaces", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.alice, "get", "secrets", "-A")


@attack("reads the operator's key to the store", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", "ops", "get", "secret", "prod-modelyard-store")


@attack("reads the private key of the endpoint's authority", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", "ops", "get", "secret", names.SECRET_ENDPOINT_CA)


@attack("mints a token of B's ServiceAccount", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.alice, "-n", B, "create", "token", "default")


@attack("mints a token of the operator's ServiceAccount", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", "ops", "create", "token", "prod-modelyard")


@attack("acts as the operator's ServiceAccount (impersonation)", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.mallory, "--as", "system:serviceaccount:ops:prod-modelyard", "get", "pods", "-A")


@attack("creates a FineTuneJob in B's namespace", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", B, "create", "-f", "-", stdin=smallest("FineTuneJob", name="evil"))


@attack("creates a Job with B's Secret in B's namespace", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.mallory, "-n", B, "create", "job", "evil", "--image=x")


@attack("reads objects of all namespaces", KUBERNETES)
def _(site: Site) -> None:
    for kind in ("finetunejobs", "datasets", "modelversions", "modeldeployments"):
        forbidden(site.alice, "get", kind, "-A")


@attack("changes B's ModelDeployment to another version", KUBERNETES)
def _(site: Site) -> None:
    patch = '{"spec": {"model": {"version": 1}}}'
    forbidden(site.mallory, "-n", B, "patch", "mdep", "reviews", "--type=merge", "-p", patch)


@attack("deletes B's ModelVersion with its artifacts", KUBERNETES)
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


@attack("makes or changes a ServingProfile with a service account, volumes and tolerations", RBAC)
def _(site: Site) -> None:
    profile = smallest("ServingProfile", name="evil", pod=FULL_POD)
    forbidden(site.mallory, "create", "-f", "-", stdin=profile)
    patch = '{"spec": {"pod": {"serviceAccountName": "admin"}, "namespaces": null}}'
    forbidden(site.mallory, "patch", "servingprofile", "gold-servers", "--type=merge", "-p", patch)


@attack("binds the operator's ClusterRole to itself", KUBERNETES)
def _(site: Site) -> None:
    words = ("create", "clusterrolebinding", "evil", "--clusterrole=prod-modelyard", "--user=mallory")
    forbidden(site.mallory, *words)


@attack("switches the policies off", KUBERNETES)
def _(site: Site) -> None:
    forbidden(site.mallory, "delete", "validatingadmissionpolicybinding", "prod-modelyard-writers")


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
    prefix = layout.version_prefix(layout.run_prefix(A, "reviews", spec["lineage"]["trained"]["run"]))
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


@attack("uses a ServingProfile that is offered to B alone, and so its service account", POLICY)
def _(site: Site) -> None:
    serve = {"profile": "gold-servers"}
    refused(site.alice, "it is offered to namespaces with", smallest("ModelDeployment", name="x", serve=serve))


@attack("asks for a service account, volumes, tolerations or other pod fields for its servers", SCHEMA)
def _(site: Site) -> None:
    for name in (*FULL_POD, "pod", "image", "command", "securityContext", "hostNetwork"):
        made = smallest("ModelDeployment", name="x", serve={name: FULL_POD.get(name, "evil")})
        refused(site.alice, f'unknown field "spec.serve.{name}"', made, "--validate=strict")
        kept = site.alice.create(made, "-n", A, "--dry-run=server", "--validate=false")
        assert name not in kept["spec"]["serve"]


@attack("asks for an image, a ServiceAccount, a namespace, environment or volumes of its own", SCHEMA)
def _(site: Site) -> None:
    for name in ("image", "serviceAccountName", "namespace", "env", "volumes", "command", "securityContext"):
        job = smallest("FineTuneJob", name="x")
        job["spec"][name] = "evil"
        refused(site.alice, f'unknown field "spec.{name}"', job, "--validate=strict")
        kept = site.alice.create(job, "-n", A, "--dry-run=server", "--validate=false")
        assert name not in kept["spec"]


# Weight: what the operator must remember.


def costs_little(site: Site, flood: str, number: int = weight.NUMBER) -> dict[str, weight.Weight]:
    """A flood leaves the operator at work and the next one that starts as light as they were; the MB that it costs."""
    site.a.until("an operator at work", site.a.operator.ready)
    costs = weight.carried(site, weight.FLOODS[flood], number)
    assert site.a.operator.alive()
    assert all(cost.now < weight.RETAINED_MB for cost in costs.values()), costs
    assert all(cost.peak < weight.PEAK_MB for cost in costs.values()), costs
    return costs


BEARS_LABELS = "ends the operator for everybody by objects that bear its labels, heavy by data, annotations or pods"


@attack(BEARS_LABELS, OPERATOR)
def _(site: Site) -> None:
    print(costs_little(site, "all"))
