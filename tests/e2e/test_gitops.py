"""Nothing drifts after completion, Argo CD sees the right health, and no child bears the user's marks."""

from __future__ import annotations

import json

from tests import argocd
from tests.e2e.harness import ClusterHarness, Manifest, dataset, deployment
from tests.served import number_in

IN_ORDER = True
MARKS = {
    "labels": {"app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop", "team": "blue"},
    "annotations": {"argocd.argoproj.io/tracking-id": "shop:modelyard.dev/FineTuneJob:team/marked", "note": "mine"},
}
CHILDREN = "jobs,pods,configmaps,deployments,replicasets,services,modelversions"


def marked(manifest: Manifest) -> Manifest:
    return {**manifest, "metadata": {**manifest["metadata"], **MARKS}}


def test_nothing_drifts_after_completion(harness: ClusterHarness) -> None:
    objects = [marked(o) for o in (dataset("rows"), harness.stub("marked"), deployment("marked", "marked"))]
    harness.apply(*objects)
    harness.wait_ready("finetunejob", "marked")
    harness.wait_ready("modeldeployment", "marked")
    assert (
        harness.kube("diff", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})) == ""
    )


def test_argo_cd_sees_them_healthy_and_can_press_what_makes_sense(harness: ClusterHarness) -> None:
    for kind, name in (("dataset", "rows"), ("finetunejob", "marked"), ("modelversion", "marked-1")):
        obj = harness.get(kind, name) or {}
        assert argocd.health(obj)[0] == "Healthy"
    served = harness.get("modeldeployment", "marked") or {}
    assert argocd.health(served)[0] == "Healthy" and argocd.actions(served)["pin-serving-version"]
    pinned = argocd.press("pin-serving-version", served)
    harness.kube("replace", "-f", "-", stdin=json.dumps(pinned))
    again = harness.wait_ready("modeldeployment", "marked", 60)
    assert again["spec"]["model"] == {"name": "marked", "version": 1} and number_in(again) == 1
    assert argocd.health(harness.get("trainingprofile", "default") or {})[0] == "Healthy"


def test_no_child_bears_the_users_marks(harness: ClusterHarness) -> None:
    found = [child for child in harness.list_all(CHILDREN) if child["metadata"]["name"] != "kube-root-ca.crt"]
    assert {"Job", "Pod", "ConfigMap", "Deployment", "Service", "ModelVersion"} <= {child["kind"] for child in found}
    for child in found:
        borne = {**child["metadata"].get("labels", {}), **child["metadata"].get("annotations", {})}
        assert not set(borne) & {*MARKS["labels"], *MARKS["annotations"]}, (child["kind"], borne)
