"""KServe's API comes and goes on a real API server, with the permissions that the chart gives the operator."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.installed import ACCOUNT, GROUPS, chart_installed
from tests.cluster.kubectl import Kubectl
from tests.cluster.operator_process import operator_process
from tests.localcluster.kserve_standin.crds import definitions
from tests.localcluster.waiting import wait_until

KINDS = ("clusterservingruntimes", "clusterstoragecontainers")
OURS = "modelyard.dev/installation=ops"


def offered(admin: Kubectl, kind: str) -> list[str]:
    """Names of what is offered; none while the kind is not served."""
    done = admin.run("get", kind, "-l", OURS, "-o", "name")
    return done.stdout.split()


def test_what_is_offered_follows_the_api(tmp_path: Path) -> None:
    crds = {"apiVersion": "v1", "kind": "List", "items": definitions()}
    with (
        chart_installed() as found,
        operator_process(found.server.kubeconfig_for(ACCOUNT, GROUPS), "ops", tmp_path / "log") as operator,
    ):
        wait_until(operator.ready, f"operator (log {operator.log})", 60)
        found.admin.ok("apply", "-f", "-", stdin=crds)
        for kind in KINDS:
            wait_until(lambda kind=kind: len(offered(found.admin, kind)) == 1, kind, 30)  # type: ignore[misc]
        (runtime,) = offered(found.admin, KINDS[0])
        found.admin.ok("delete", runtime)
        wait_until(lambda: offered(found.admin, KINDS[0]) == [runtime], "the runtime that was deleted by hand", 30)
        found.admin.ok("label", runtime, f"{OURS.split('=')[0]}=other", "--overwrite")
        wait_until(lambda: offered(found.admin, KINDS[0]) == [runtime], "the runtime's label", 30)
        found.admin.ok("delete", "crd", *(crd["metadata"]["name"] for crd in definitions()), "--timeout=30s")
        wait_until(lambda: "not served any more" in operator.log.read_text(), "the operator's word", 30)
        found.admin.ok("apply", "-f", "-", stdin=crds)
        for kind in KINDS:
            wait_until(lambda kind=kind: len(offered(found.admin, kind)) == 1, kind, 30)  # type: ignore[misc]
        assert operator.alive() and operator.ready()
        assert "forbidden" not in operator.log.read_text().lower()
