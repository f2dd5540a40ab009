import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.localcluster.waiting import wait_until
from modelyard.names import FINALIZER_ARTIFACTS
from tests.cluster.installed import CHART, VALUES, Installed, chart_installed, helm
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process

SEEN = "--for=jsonpath={.status.observedGeneration}=1"


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with chart_installed() as found:
        yield found


def may(installed: Installed, verb: str, resource: str, *options: str) -> bool:
    answer = installed.operator.run("auth", "can-i", verb, resource, *options)
    said = answer.stdout.strip().split(" ")[0]
    assert said in ("yes", "no"), answer.stderr
    return said == "yes"


@pytest.mark.parametrize(
    ("verb", "resource", "options"),
    [
        ("watch", "finetunejobs.modelyard.dev", ("-A",)),
        ("list", "trainingprofiles.modelyard.dev", ()),
        ("create", "trainingprofiles.modelyard.dev", ()),
        ("patch", "finetunejobs.modelyard.dev", ("-A", "--subresource=status")),
        ("create", "modelversions.modelyard.dev", ("-n", "team")),
        ("create", "jobs.batch", ("-n", "team")),
        ("patch", "deployments.apps", ("-n", "team")),
        ("delete", "configmaps", ("-n", "team")),
        ("watch", "pods", ("-A",)),
        ("create", "events", ("-n", "team")),
        ("update", "leases.coordination.k8s.io/modelyard-operator", ("-n", "ops")),
    ],
)
def test_the_operator_may(installed: Installed, verb: str, resource: str, options: tuple[str, ...]) -> None:
    assert may(installed, verb, resource, *options)


@pytest.mark.parametrize(
    ("verb", "resource", "options"),
    [
        ("get", "secrets", ("-n", "ops")),
        ("list", "secrets", ("-A",)),
        ("patch", "finetunejobs.modelyard.dev", ("-n", "team")),
        ("patch", "trainingprofiles.modelyard.dev", ()),
        ("delete", "modelversions.modelyard.dev", ("-n", "team")),
        ("delete", "finetunejobs.modelyard.dev", ("-n", "team")),
        ("create", "pods", ("-n", "team")),
        ("create", "pods", ("-n", "team", "--subresource=exec")),
        ("update", "leases.coordination.k8s.io/modelyard-operator", ("-n", "team")),
        ("update", "leases.coordination.k8s.io/other", ("-n", "ops")),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", ()),
        ("escalate", "clusterroles.rbac.authorization.k8s.io", ()),
        ("impersonate", "users", ()),
        ("list", "namespaces", ()),
        ("list", "customresourcedefinitions.apiextensions.k8s.io", ()),
        ("create", "serviceaccounts", ("-n", "ops", "--subresource=token")),
    ],
)
def test_the_operator_may_not(installed: Installed, verb: str, resource: str, options: tuple[str, ...]) -> None:
    assert not may(installed, verb, resource, *options)


def test_an_upgrade_changes_nothing_that_did_not_change(installed: Installed) -> None:
    before = _generations(installed)
    helm(installed.server, "upgrade", "prod", str(CHART), "--namespace", "ops", "--set", VALUES)
    assert _generations(installed) == before


def _generations(installed: Installed) -> str:
    path = "jsonpath={.items[*].metadata.generation}"
    return installed.admin.ok("get", "crd", "-o", path) + installed.admin.ok("-n", "ops", "get", "deploy", "-o", path)


def release(installed: Installed, *options: str) -> subprocess.CompletedProcess[str]:
    """The command of the uninstallation hook, as the operator's account."""
    command = [sys.executable, "-m", "modelyard", "release-finalizers", "--namespace=ops"]
    environment = {**os.environ, "KUBECONFIG": str(installed.operator.kubeconfig)}
    whole = [*command, "--deployment=prod-modelyard", *options]
    return subprocess.run(whole, env=environment, capture_output=True, text=True, check=False)


def held_version(installed: Installed, name: str, *others: str) -> None:
    version: dict[str, Any] = smallest("ModelVersion", name=f"{name}-7", model=name)
    version["metadata"]["finalizers"] = [FINALIZER_ARTIFACTS, *others]
    installed.admin.create(version, "-n", "default")


def test_release_frees_versions_and_stops_the_operator(installed: Installed) -> None:
    held_version(installed, "free")
    held_version(installed, "shared", "example.com/other")
    installed.admin.ok("delete", "mv", "free-7", "--wait=false")
    done = release(installed)
    assert done.returncode == 0, done.stderr
    assert "released default/free-7: its artifacts stay at s3://modelyard/ns/runs/1/" in done.stdout
    assert "NotFound" in installed.admin.refused("get", "mv", "free-7")
    kept = installed.admin.ok("get", "mv", "shared-7", "-o", "jsonpath={.metadata.finalizers[*]}")
    assert kept == "example.com/other"
    assert installed.admin.ok("-n", "ops", "get", "deploy", "-o", "jsonpath={.items[0].spec.replicas}") == "0"
    assert release(installed).stdout == ""


def test_release_waits_for_the_operator_to_be_gone(installed: Installed) -> None:
    held_version(installed, "later")
    installed.admin.ok("-n", "ops", "create", "serviceaccount", "default")
    selector = {"app.kubernetes.io/name": "modelyard", "app.kubernetes.io/instance": "prod"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "old", "labels": {**selector, "app.kubernetes.io/component": "operator"}},
        "spec": {"containers": [{"name": "operator", "image": "operator:1"}]},
    }
    installed.admin.create(pod, "-n", "ops")
    done = release(installed, "--timeout=1")
    assert done.returncode == 1 and "still run after 1 s" in done.stdout
    assert installed.admin.ok("get", "mv", "later-7", "-o", "jsonpath={.metadata.finalizers}") != ""
    installed.admin.ok("-n", "ops", "delete", "pod", "old", "--grace-period=0", "--force")
    assert release(installed, "--timeout=5").returncode == 0


def test_the_operator_works_with_these_permissions_alone(installed: Installed, tmp_path: Path) -> None:
    with operator_process(installed.operator.kubeconfig, "ops", tmp_path / "log") as operator:
        wait_until(operator.ready, "operator", 60)
        installed.admin.ok("wait", "--for=create", "trainingprofile/default", "--timeout=20s")
        installed.admin.create(smallest("Dataset", name="rows"), "-n", "default")
        installed.admin.ok("-n", "default", "wait", SEEN, "dataset/rows", "--timeout=30s")
        told = operator.log.read_text()
    assert "orbidden" not in told and "403" not in told, told


def test_going_back_leaves_the_definitions_and_objects_of_the_newer_release(installed: Installed) -> None:
    """As docs/upgrade.md says, and the next upgrade says that the definitions are not its own."""
    field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later"
    later = [{"op": "add", "path": field, "value": {"type": "string"}}]
    name = "datasets.modelyard.dev"
    installed.admin.ok("patch", "crd", name, "--type=json", "-p", json.dumps(later))
    annotation = "modelyard.dev/definition"
    installed.admin.ok("annotate", "crd", name, f"{annotation}=newer", "--overwrite")
    told = helm(installed.server, "upgrade", "prod", str(CHART), "--namespace", "ops", "--set", VALUES)
    assert f"another release of {name}, and Helm leaves" in told
    helm(installed.server, "rollback", "prod", "--namespace", "ops")
    path = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.later.type}"
    assert installed.admin.ok("get", "crd", name, "-o", path) == "string"
    assert installed.admin.ok("-n", "default", "get", "dataset", "rows", "-o", "name").strip()
