"""The cluster of the demo: the embedded one, or the user's context with a registry of theirs."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from examples.demo.shell import ROOT, CommandError, run

ASIDE = "aside-for-tests"
"""Name of the ResourceQuota that keeps the pods of a namespace away."""


@dataclass(frozen=True)
class Cluster:
    """How to reach a cluster; `embedded` clusters build their images themselves."""

    kubectl: str = "kubectl"
    helm: str = "helm"
    kubeconfig: str = ""
    context: str = ""
    registry: str = ""

    @property
    def embedded(self) -> bool:
        """True for the single-node cluster that the project brings up."""
        return not self.context

    def command(self, *words: str) -> list[str]:
        """A kubectl command line."""
        return [self.kubectl, *self._flags("--context"), *words]

    def kube(self, *words: str, stdin: str | None = None) -> str:
        """Run kubectl."""
        return run(self.command(*words), stdin=stdin)

    def helm_run(self, *words: str) -> str:
        """Run helm."""
        return run([self.helm, *self._flags("--kube-context"), *words])

    def _flags(self, context_flag: str) -> list[str]:
        config = [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []
        return config + ([f"{context_flag}={self.context}"] if self.context else [])

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        """One object, None if it is not there."""
        where = ["-n", namespace] if namespace else []
        text = self.kube("get", kind, name, *where, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text.strip() else None

    def apply(self, manifest: str | dict[str, Any] | list[dict[str, Any]]) -> str:
        """Kubectl apply of YAML text or objects."""
        if isinstance(manifest, list):
            manifest = {"apiVersion": "v1", "kind": "List", "items": manifest}
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self.kube("apply", "-f", "-", stdin=text)

    def ensure_namespace(self, name: str, *, restricted: bool = False) -> None:
        """Make a namespace if it is not there; a restricted one takes only pods that Pod Security calls so."""
        metadata: dict[str, Any] = {"name": name}
        if restricted:
            metadata["labels"] = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def wait(self, what: str, condition: str, namespace: str, seconds: int = 180) -> None:
        """Kubectl wait."""
        self.kube("wait", what, f"--for={condition}", "-n", namespace, f"--timeout={seconds}s")

    @contextlib.contextmanager
    def forward(self, target: str, port: int, namespace: str) -> Iterator[str]:
        """Http address on this machine that reaches a Service or pod through the API server."""
        local = _free_port()
        words = self.command("port-forward", "-n", namespace, target, f"{local}:{port}")
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            _wait_for_port(local, process)
            yield f"http://127.0.0.1:{local}"
        finally:
            process.terminate()
            process.wait()


def embedded_cluster() -> Cluster:
    """Bring the embedded cluster up (nothing happens if it is) and say how to reach it."""
    run(["python3", "-m", "dev.localcluster", "up"], echo=True)
    cluster = running_embedded_cluster()
    bring_back(cluster)
    return cluster


def bring_back(cluster: Cluster) -> None:
    """What stands aside for tests (tests/e2e/aside.py) may run again, even if those were ended in the middle."""
    quotas = cluster.kube("get", "resourcequota", "-A", f"--field-selector=metadata.name={ASIDE}", "-o", "json")
    for namespace in [quota["metadata"]["namespace"] for quota in json.loads(quotas)["items"]]:
        cluster.kube("delete", "resourcequota", ASIDE, "-n", namespace)
        # Their controllers have waited longer after each refusal: a change makes them try at once.
        for owner in cluster.kube("get", "replicasets,jobs", "-n", namespace, "-o", "name").split():
            for mark in (f"{ASIDE}=no", f"{ASIDE}-"):
                cluster.kube("annotate", owner, "-n", namespace, mark, "--overwrite")


def running_embedded_cluster() -> Cluster:
    """How to reach the embedded cluster, which is up."""
    from dev.localcluster.tools import binary

    kubeconfig = run(["python3", "-m", "dev.localcluster", "kubeconfig"]).strip()
    return Cluster(kubectl=str(binary("kubectl")), helm=str(binary("helm")), kubeconfig=kubeconfig)


def image_references(cluster: Cluster) -> dict[str, str]:
    """References of the four images, built where needed."""
    images = ("operator", "trainer", "server", "minio")
    if cluster.embedded:
        return {name: _local_image(name) for name in images}
    return {name: _pushed_image(name, cluster.registry) for name in images[:3]}


def _local_image(name: str) -> str:
    from dev.localcluster.images import image

    return image(name)


def _pushed_image(name: str, registry: str) -> str:
    """Build with the user's docker and push to their registry; the layers are cached by docker."""
    dockerfile = "operator/Dockerfile" if name == "operator" else "trainer-image/Dockerfile"
    reference = f"{registry}/modelyard-{name}:{run(['git', 'rev-parse', '--short', 'HEAD']).strip()}"
    target = [] if name == "operator" else ["--target", name]
    run(["docker", "build", "-t", reference, "-f", ROOT / dockerfile, *target, ROOT], echo=True)
    run(["docker", "push", reference], echo=True)
    return reference


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int, process: subprocess.Popen[str]) -> None:
    for _ in range(100):
        if process.poll() is not None:
            raise CommandError(f"port-forward ended: {process.stderr.read() if process.stderr else ''}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise CommandError("port-forward does not listen")
