"""The processes of the cluster in the order of their start: command, sign of readiness, way to stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.localcluster import controlplane, layout, node, registry
from dev.localcluster.layout import containerd_socket, state
from dev.localcluster.processes import Daemon
from dev.localcluster.progress import note
from dev.localcluster.shell import attempt
from dev.localcluster.waiting import NotReadyError, answers, wait_until

READY_SECONDS = 90.0
_LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Component:
    """One process of the cluster."""

    name: str
    command: Callable[[], list[str]]
    ready: Callable[[], bool]
    grace: float = 5.0
    tries: int = 1
    """How often it is started, a second apart, if it ends by itself before it is ready."""

    @property
    def daemon(self) -> Daemon:
        """The process with its pid file and log."""
        return Daemon(self.name)

    def ensure(self) -> None:
        """Start the process unless it runs with this very command and is ready."""
        if self.daemon.runs(self.command()) and self.ready():
            return
        self.daemon.stop(self.grace)
        if self.ready():
            raise RuntimeError(f"another {self.name} already serves on this machine's port of ours")
        note(f"start {self.name}")
        for left in reversed(range(self.tries)):
            self.daemon.start(self.command())
            try:
                return wait_until(self._ready_or_dead, f"{self.name} (log {self.daemon.log})", READY_SECONDS)
            except NotReadyError:
                if not left or self.daemon.identity():
                    raise
                time.sleep(1)

    def stop(self) -> bool:
        """Stop the process; say whether it ran."""
        return self.daemon.stop(self.grace)

    def state(self) -> str:
        """One word for people."""
        if not self.daemon.identity():
            return "stopped"
        return "ready" if self.ready() else "not ready"

    def _ready_or_dead(self) -> bool:
        if not self.daemon.identity():
            tail = "\n".join(self.daemon.log.read_text(errors="replace").splitlines()[-15:])
            raise NotReadyError(f"{self.name} ended by itself; end of {self.daemon.log}:\n{tail}")
        return self.ready()


def _on(port: int, path: str = "healthz", scheme: str = "http") -> Callable[[], bool]:
    return lambda: answers(f"{scheme}://{_LOCAL}:{port}/{path}")


def _api_ready() -> bool:
    return answers(f"{layout.API_URL}/readyz", state("pki", "ca.crt"))


def _containerd_ready() -> bool:
    if not containerd_socket().exists():
        return False
    return attempt([*ctr(), "version"])


def ctr() -> list[str | Path]:
    """The client of our containerd."""
    return ["/usr/bin/ctr", "--address", containerd_socket(), "--namespace", "k8s.io"]


ALL = (
    Component(registry.NAME, registry.command, _on(layout.REGISTRY_PORT, "v2/")),
    Component("etcd", controlplane.etcd_command, _on(layout.ETCD_PORT, "health")),
    # Asked to end, an apiserver keeps its port for up to a minute: hence the short grace.
    Component("kube-apiserver", controlplane.apiserver_command, _api_ready, grace=2.0),
    Component(
        "kube-controller-manager",
        controlplane.controller_manager_command,
        _on(layout.CONTROLLER_MANAGER_PORT, scheme="https"),
    ),
    Component("kube-scheduler", controlplane.scheduler_command, _on(layout.SCHEDULER_PORT, scheme="https")),
    Component("containerd", node.containerd_command, _containerd_ready),
    # containerd answers before it serves kubelets, which end at once where it does not.
    Component("kubelet", node.kubelet_command, _on(layout.KUBELET_HEALTH_PORT), tries=10),
    Component("kube-proxy", node.proxy_command, _on(layout.PROXY_HEALTH_PORT)),
)
BY_NAME = {component.name: component for component in ALL}
NAMES = tuple(BY_NAME)
