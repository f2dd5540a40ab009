"""An API server with the chart installed, as administrator, as the operator's account, and as tenants."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.tools import binary
from tests.cluster.kubectl import Kubectl

CHART = Path(__file__).parents[2] / "charts" / "modelyard"
VALUES = "store.endpoint=http://store:9000,store.accessKey=me,store.secretKey=k3y"
ACCOUNT = "system:serviceaccount:ops:prod-modelyard"
GROUPS = ("system:serviceaccounts", "system:authenticated")


@dataclass(frozen=True)
class Installed:
    """The server, and kubectl as administrator and as the operator's account."""

    server: ApiServer
    admin: Kubectl
    operator: Kubectl

    def tenant(self, user: str, namespace: str, role: str = "edit") -> Kubectl:
        """kubectl of a user with a built-in role in one namespace, which is made if it is not there."""
        if self.admin.run("get", "namespace", namespace).returncode:
            self.admin.ok("create", "namespace", namespace)
        self.admin.ok(
            "-n", namespace, "create", "rolebinding", f"{user}-{role}", f"--clusterrole={role}", f"--user={user}"
        )
        return Kubectl(self.server.kubeconfig_for(user, ("system:authenticated",)))


def helm(server: ApiServer, *words: str) -> str:
    """Helm as administrator; standard output."""
    command = [str(binary("helm")), *words, "--kubeconfig", str(server.kubeconfig)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def chart_installed(values: str = VALUES, **server: Any) -> Iterator[Installed]:
    """Install the chart as release `prod` in namespace `ops`; no operator runs."""
    with ApiServer(**server) as api:
        admin = Kubectl(api.kubeconfig)
        told = helm(api, "install", "prod", str(CHART), "--namespace", "ops", "--create-namespace", "--set", values)
        assert "kubectl -n demo get modelyard" in told
        admin.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield Installed(api, admin, Kubectl(api.kubeconfig_for(ACCOUNT, GROUPS)))
