"""Run pytest inside an image: a pod of the embedded cluster with the clone and the cache mounted, so that torch is
installed once, in the image that users run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dev.localcluster.images import image as image_reference
from examples.demo.cluster import Cluster, running_embedded_cluster
from examples.demo.shell import ROOT, cache_folder, run

NAMESPACE = "in-image-tests"
TOOLS = (
    "pytest==9.*",
    "pytest-asyncio==1.*",
    "pytest-timeout==2.*",
    "pytest-cov==7.*",
    "hypothesis==6.*",
)
CLIENT = ("openai==3.*", "jiter==0.*", "sniffio==1.*")
"""What tests of the server need, without what the image brings: it must not be covered by other releases."""


def main() -> int:
    """Arguments: name of the image, then pytest's."""
    return run_module(sys.argv[1], "pytest", "-p", "no:cacheprovider", *sys.argv[2:])


def run_module(name: str, *words: str, memory: str = "") -> int:
    """Run `python -m` words in a pod of an image of ours, show what it prints, give its exit code.

    `memory` limits the pod as a run's pod is limited.
    """
    cluster = running_embedded_cluster()
    cluster.ensure_namespace(NAMESPACE)
    pod = pod_manifest(name, image_reference(name), list(words))
    if memory:
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": memory}, "requests": {"memory": memory}}
    cluster.kube("delete", "pod", name, "-n", NAMESPACE, "--ignore-not-found", "--wait")
    cluster.apply(pod)
    _wait_until_started(cluster, name)
    subprocess.run(cluster.command("logs", "-f", "-n", NAMESPACE, name), check=False)
    return _exit_code(cluster, name)


def pod_manifest(name: str, image: str, words: list[str]) -> dict[str, Any]:
    """A pod that runs a module of the mounted clone; `python` of the image, pytest from a folder of the cache."""
    paths = [str(ROOT), str(ROOT / "operator/src"), str(ROOT / "trainer-image/src"), str(_tools())]
    env = {
        "PYTHONPATH": ":".join(paths),
        "MODELYARD_CACHE": str(cache_folder()),
        "HOME": "/tmp",
        "PYTHONUNBUFFERED": "1",
        **{key: value for key, value in os.environ.items() if key.startswith("MODELYARD_TEST_")},
    }
    folders = [ROOT, cache_folder()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "containers": [
                {
                    "name": "tests",
                    "image": image,
                    "command": ["python", "-m", *words],
                    "workingDir": str(ROOT),
                    "env": [{"name": key, "value": value} for key, value in env.items()],
                    "securityContext": {"runAsUser": 0},
                    "volumeMounts": [{"name": f"v{i}", "mountPath": str(f)} for i, f in enumerate(folders)]
                    + [{"name": "shm", "mountPath": "/dev/shm"}],
                }
            ],
            "volumes": [{"name": f"v{i}", "hostPath": {"path": str(f)}} for i, f in enumerate(folders)]
            + [{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        },
    }


def _tools() -> Path:
    """pytest and what tests need beside it in a folder of their own; the images have the Python of the clone."""
    folder = cache_folder() / "in-image-pytest"
    if not all((folder / name).exists() for name in ("pytest", "hypothesis", "openai")):
        uv = next(cache_folder().glob("uv-*/bin/uv"), Path("uv"))
        install: list[str | Path] = [uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", folder]
        run([*install, *TOOLS])
        run([*install, "--no-deps", *CLIENT])
    return folder


def _wait_until_started(cluster: Cluster, pod: str, seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = (cluster.get("pod", pod, NAMESPACE) or {}).get("status", {})
        if status.get("phase") in ("Running", "Succeeded", "Failed"):
            return
        time.sleep(1)
    raise SystemExit(f"pod {pod} did not start: {json.dumps(status.get('containerStatuses', status))[:800]}")


def _exit_code(cluster: Cluster, pod: str, seconds: float = 30) -> int:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = (cluster.get("pod", pod, NAMESPACE) or {}).get("status", {})
        for container in status.get("containerStatuses", []):
            if "terminated" in container["state"]:
                return int(container["state"]["terminated"]["exitCode"])
        time.sleep(1)
    return 1


if __name__ == "__main__":
    sys.exit(main())
