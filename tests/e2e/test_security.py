"""Real pods where Pod Security `restricted` is enforced: the operator, a preparation, and no worse one."""

from __future__ import annotations

import json
import subprocess

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from examples.demo.shell import CommandError
from tests.e2e.harness import ClusterHarness, dataset
from tests.podtemplates import violations

RULE = "pod-security.kubernetes.io/enforce"


def test_namespaces_enforce_it(cluster: Cluster, harness: ClusterHarness) -> None:
    for name in (harness.namespace, install.OPERATOR_NAMESPACE):
        found = cluster.get("namespace", name, "")
        assert found is not None and found["metadata"]["labels"][RULE] == "restricted"


def test_a_worse_pod_is_refused(harness: ClusterHarness) -> None:
    with pytest.raises(CommandError, match='violates PodSecurity "restricted:latest"'):
        harness.kube("run", "worse", "--image=localhost/pause:1", "--privileged")
    assert harness.get("pod", "worse") is None


def test_a_preparation_runs_there(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"))
    harness.wait_ready("dataset", "rows")
    pods = harness.list_all("pods", "modelyard.dev/run")
    assert pods and all(pod["status"]["phase"] == "Succeeded" for pod in pods)
    for pod in pods:
        assert list(violations(pod["spec"])) == []
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "kube-api-access" not in json.dumps(pod["spec"])


def test_the_operators_root_cannot_be_written(cluster: Cluster) -> None:
    program = "import pathlib; pathlib.Path('/tmp/x').touch(); pathlib.Path('/x').touch()"
    words = ("exec", "-n", install.OPERATOR_NAMESPACE, "deploy/modelyard", "--", "python", "-c", program)
    done = subprocess.run(cluster.command(*words), capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "Read-only file system: '/x'" in done.stderr
