"""Just etcd and kube-apiserver for tests that need a real API but no pods."""

import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from dev.localcluster.children import Child, free_port, scratch_folder
from dev.localcluster.debian import ensure_packages
from dev.localcluster.pki import Authority, Subject
from dev.localcluster.tools import binary
from dev.localcluster.waiting import answers, wait_until

START_SECONDS = 60.0
AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: [system:serviceaccounts]
- level: None
"""
_ADMIN = Subject("admin", groups=("system:masters",))


class ApiServer:
    """A Kubernetes API on free loopback ports; several may run beside each other.

    Start it from a thread that lives as long as the server is needed: the servers end with that thread.
    """

    def __init__(self, *, controller_manager: bool = False, in_memory: bool = True, audit: bool = False) -> None:
        self.folder = Path()
        self.kubeconfig = Path()
        self.url = ""
        self.etcd_url = ""
        """Plain HTTP, for tests that write below the API server."""
        self._with_controller_manager = controller_manager
        self._in_memory = in_memory
        self._audit = audit
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> Self:
        """Start all servers and wait until the API is ready."""
        if not Path("/usr/bin/etcd").exists():
            ensure_packages()
        self.folder = scratch_folder("api", self._in_memory)
        self.url = f"https://127.0.0.1:{free_port()}"
        self._authority = Authority(self.folder / "pki")
        self._authority.ensure()
        self.kubeconfig = self.kubeconfig_for("admin", groups=_ADMIN.groups)
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop all servers and remove their folder."""
        for child in reversed(self._children.values()):
            child.stop(grace=0)
        self._children.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kubeconfig_for(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig for any user, as whom tests may check permissions."""
        target = self.folder / f"{user.replace(':', '-').replace('/', '-')}.kubeconfig"
        return self._authority.kubeconfig(target, self.url, Subject(user, groups))

    @property
    def audit_log(self) -> Path:
        """One JSON line per request with user, verb, object and answer; written when `audit` was asked for."""
        return self.folder / "audit.log"

    def stop_apiserver(self, grace: float = 0.0) -> None:
        """Take the API away; without grace as in a crash."""
        self._children["kube-apiserver"].stop(grace)

    def start_apiserver(self) -> None:
        """Bring the API back on the same port with the same data."""
        self._children["kube-apiserver"].start()
        self._wait("kube-apiserver", f"{self.url}/readyz")

    def snapshot(self) -> Path:
        """A copy of what etcd holds now; it is away for a moment."""
        copy = self.folder / f"snapshot-{len(list(self.folder.glob('snapshot-*')))}"
        self._children["etcd"].stop()
        shutil.copytree(self.folder / "etcd", copy)
        self._children["etcd"].start()
        self._wait("kube-apiserver", f"{self.url}/readyz")
        return copy

    def restore(self, snapshot: Path) -> None:
        """Put an earlier state in place, as an administrator does: with the API server stopped."""
        self.stop_apiserver()
        self._children["etcd"].stop()
        shutil.rmtree(self.folder / "etcd")
        shutil.copytree(snapshot, self.folder / "etcd")
        self._children["etcd"].start()
        self.start_apiserver()

    def _start_all(self) -> None:
        self.etcd_url = self._start_etcd()
        self._add("kube-apiserver", self._apiserver_command(self.etcd_url))
        self.start_apiserver()
        if self._with_controller_manager:
            self._start_controller_manager()

    def _start_etcd(self) -> str:
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        clients = ["--listen-client-urls", client, "--advertise-client-urls", client]
        peers = ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
        cluster = ["--name", "test", "--initial-cluster", f"test={peer}", "--data-dir", str(self.folder / "etcd")]
        self._add("etcd", ["/usr/bin/etcd", *clients, *peers, *cluster])
        self._children["etcd"].start()
        self._wait("etcd", f"{client}/health")
        return client

    def _apiserver_command(self, etcd_url: str) -> list[str]:
        server = Subject("kube-apiserver", names=("IP:127.0.0.1", "IP:10.0.0.1", "DNS:localhost"))
        certificate, key = self._authority.issue("kube-apiserver", server)
        pki = self.folder / "pki"
        return [
            str(binary("kube-apiserver")),
            f"--etcd-servers={etcd_url}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.url.rpartition(':')[2]}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--client-ca-file={self._authority.certificate}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-account.pub'}",
            f"--service-account-signing-key-file={pki / 'service-account.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--endpoint-reconciler-type=none",
            "--allow-privileged=true",
            f"--cert-dir={self.folder / 'certificates'}",
            *(self._audit_options() if self._audit else ()),
        ]

    def _audit_options(self) -> list[str]:
        policy = self.folder / "audit-policy.yaml"
        policy.write_text(AUDIT_POLICY)
        return [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}", "--audit-log-mode=blocking"]

    def _start_controller_manager(self) -> None:
        port = free_port()
        pki = self.folder / "pki"
        user = self.kubeconfig_for("system:kube-controller-manager")
        command = [
            str(binary("kube-controller-manager")),
            f"--kubeconfig={user}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--root-ca-file={self._authority.certificate}",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
        ]
        self._add("kube-controller-manager", command)
        self._children["kube-controller-manager"].start()
        self._wait("kube-controller-manager", f"https://127.0.0.1:{port}/healthz", checked=False)

    def _add(self, name: str, command: list[str]) -> None:
        self._children[name] = Child(name, command, self.folder)

    def _wait(self, name: str, url: str, checked: bool = True) -> None:
        authority = self._authority.certificate if checked and url.startswith("https") else None
        child = self._children[name]
        wait_until(lambda: child.must_run() and answers(url, authority), name, START_SECONDS, pause=0.05)


def main() -> None:
    """Run one API server until interrupted, for trying things by hand."""
    with ApiServer(controller_manager=True) as server:
        print(f"export KUBECONFIG={server.kubeconfig}", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
