import time
from pathlib import Path

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.waiting import wait_until
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process

CRDS = Path(__file__).parents[2] / "crds"


def test_kinds_that_come_after_the_operator_are_watched(tmp_path: Path) -> None:
    """Helm makes CRDs and Deployment in one breath: the operator may be there first."""
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "namespace", "ops")
        with operator_process(server.kubeconfig, "ops", tmp_path / "log") as operator:
            wait_until(operator.alive, "operator", 60)
            time.sleep(3)
            assert not operator.ready()
            kubectl.ok("create", "-f", str(CRDS))
            wait_until(operator.ready, "operator", 60)
            kubectl.create(smallest("Dataset", name="rows"), "-n", "default")
            seen = "--for=jsonpath={.status.observedGeneration}=1"
            kubectl.ok("-n", "default", "wait", seen, "dataset/rows", "--timeout=15s")
