"""What GitOps needs of the API and the operator: nothing drifts, nobody fights over fields, marks are not copied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.waiting import wait_until
from modelyard.names import FIELD_MANAGER
from tests.argocd import CONFIG_MAP, drift
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process
from tests.docs import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*/*.yaml"))
TRACKED = {"app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop"}
NOTED = {"argocd.argoproj.io/tracking-id": "shop:modelyard.dev/FineTuneJob:team/inline", "note": "mine"}
INLINE = {"task": "text-classification", "source": {"inline": [{"text": "good", "label": "yes"}]}}
SEEN = "--for=jsonpath={.status.observedGeneration}=1"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """An API server with the operator at work; its store does not answer."""
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "-f", str(ROOT / "crds"))
        kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        for namespace in ("ops", "team", "argocd"):
            kubectl.ok("create", "namespace", namespace)
        log = tmp_path_factory.mktemp("operator") / "log"
        with operator_process(server.kubeconfig, "ops", log) as operator:
            wait_until(operator.ready, "operator", 60)
            yield kubectl


def inline_job() -> dict[str, Any]:
    job = smallest("FineTuneJob", name="inline")
    job["spec"]["dataset"] = {"inline": INLINE}
    job["metadata"] |= {"labels": TRACKED, "annotations": NOTED}
    return job


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_example_does_not_drift_under_the_operator(kubectl: Kubectl, path: Path) -> None:
    kubectl.ok("-n", "team", "apply", "-f", str(path))
    sample = yaml.safe_load(path.read_text())
    name = f"{sample['kind'].lower()}/{sample['metadata']['name']}"
    kubectl.ok("-n", "team", "wait", SEEN, name, "--timeout=30s")
    assert kubectl.ok("-n", "team", "diff", "-f", str(path)) == ""


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Dataset", {"prepare": [{"clean": {"minChars": 3}}, {"dedupe": {}}, {"split": {"test": 0.2}}]}),
        ("FineTuneJob", {"evaluate": {"gate": {"require": [{"metric": "accuracy", "min": 0.8}]}}, "export": ["onnx"]}),
        ("TrainingProfile", {"pod": {"tolerations": [{"key": "dedicated"}], "env": [{"name": "A"}]}}),
    ],
)
def test_lists_with_fields_left_out_are_in_sync_for_a_diff_that_takes_lists_as_a_whole(
    kubectl: Kubectl, kind: str, fields: dict[str, Any]
) -> None:
    git = smallest(kind, name="partial", **fields)
    kubectl.ok("-n", "team", "apply", "-f", "-", stdin=git)
    live = json.loads(kubectl.ok("-n", "team", "get", f"{kind}/partial".lower(), "-o", "json"))
    assert list(drift(git["spec"], live["spec"])) == []


def test_server_side_apply_twice_changes_nothing_and_meets_no_conflict(kubectl: Kubectl) -> None:
    options = ("-n", "team", "apply", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    kubectl.ok(*options, stdin=smallest("FineTuneJob", name="served-side"))
    kubectl.ok("-n", "team", "wait", SEEN, "ftj/served-side", "--timeout=30s")
    kubectl.ok("-n", "team", "wait", "--for=condition=Ready=False", "ftj/served-side", "--timeout=30s")
    diff = ("-n", "team", "diff", "--server-side", "--field-manager=argocd-controller", "-f", "-")
    assert kubectl.ok(*diff, stdin=smallest("FineTuneJob", name="served-side")) == ""
    before = _get(kubectl, "ftj", "served-side")
    kubectl.ok(*options, stdin=smallest("FineTuneJob", name="served-side"))
    after = _get(kubectl, "ftj", "served-side")
    assert (before["spec"], before["metadata"]["generation"]) == (after["spec"], after["metadata"]["generation"])
    owned = [field for field in after["metadata"]["managedFields"] if field["manager"] == FIELD_MANAGER]
    assert [field.get("subresource") for field in owned] == ["status"]


def test_marks_of_users_and_of_argo_cd_stay_on_their_object(kubectl: Kubectl) -> None:
    kubectl.ok("-n", "team", "apply", "-f", "-", stdin=inline_job())
    chosen = ("-n", "team", "get", "datasets", "-l", "modelyard.dev/kind=finetunejob", "-o", "json")
    wait_until(lambda: bool(json.loads(kubectl.ok(*chosen))["items"]), "the inline dataset", 30)
    (child,) = json.loads(kubectl.ok(*chosen))["items"]
    marks = {**child["metadata"]["labels"], **child["metadata"]["annotations"]}
    assert all(key.startswith("modelyard.dev/") for key in set(marks) - {"app.kubernetes.io/managed-by"}), marks
    assert child["metadata"]["ownerReferences"][0]["kind"] == "FineTuneJob"
    kept = _get(kubectl, "ftj", "inline")["metadata"]
    assert kept["labels"] == TRACKED and NOTED.items() <= kept["annotations"].items()
    assert not [key for key in kept["annotations"] if key.startswith("modelyard.dev/")]


def test_the_settings_for_argo_cd_leave_its_own_alone(kubectl: Kubectl) -> None:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "https://cd"}}
    kubectl.ok("-n", "argocd", "create", "-f", "-", stdin=own)
    for _ in range(2):
        kubectl.ok("-n", "argocd", "apply", "--server-side", "-f", str(CONFIG_MAP))
    data = json.loads(kubectl.ok("-n", "argocd", "get", "configmap", "argocd-cm", "-o", "json"))["data"]
    assert data.pop("url") == "https://cd"
    assert data == yaml.safe_load(CONFIG_MAP.read_text())["data"]


def _get(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    return dict(json.loads(kubectl.ok("-n", "team", "get", kind, name, "-o", "json", "--show-managed-fields")))
