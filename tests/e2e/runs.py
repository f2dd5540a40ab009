"""What tests that kill need to know about a run: its pod, its processes, its progress, what it left in the store."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from modelyard.api import layout
from tests.e2e.harness import ClusterHarness, Manifest

T = TypeVar("T")


def running_pod(harness: ClusterHarness, job: Manifest) -> Manifest:
    """The run's pod that works now."""
    return wait_for(lambda: next((pod for pod in harness.pods_of(run_id(job)) if _works(pod)), None), 120)


def kill_container(pod: Manifest) -> None:
    """SIGKILL from the node, as the kernel would: inside the pod the first process cannot be killed."""
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    pids = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if container in _read(path)]
    assert pids, f"no process of container {container} on this node"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def evict(harness: ClusterHarness, pod: Manifest) -> None:
    """Ask the eviction API, as `kubectl drain` does."""
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": harness.namespace}}
    path = f"/api/v1/namespaces/{harness.namespace}/pods/{name}/eviction"
    harness.cluster.kube("create", "--raw", path, "-f", "-", stdin=json.dumps(body))


def run_id(job: Manifest) -> str:
    """Id of the job's run."""
    return str(job["status"]["run"]["id"])


def prefix_of(harness: ClusterHarness, job: Manifest) -> str:
    """Prefix of the run in the store."""
    return layout.run_prefix(harness.namespace, job["status"]["run"]["model"], run_id(job))


def step_of(job: Manifest) -> int:
    """Step that the status shows."""
    return int((job.get("status", {}).get("progress") or {}).get("step", 0))


def checkpoints_of(harness: ClusterHarness, job: Manifest) -> list[int]:
    """Steps of complete checkpoints."""
    root = layout.checkpoints_prefix(prefix_of(harness, job))
    keys = [key.removeprefix(root) for key in harness.stored_keys(root)]
    return sorted(int(key[:10]) for key in keys if key.endswith(layout.MANIFEST))


def wait_for(look: Callable[[], T | None], seconds: float, pause: float = 0.2) -> T:
    """The first true value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(pause)
    raise AssertionError(f"nothing within {seconds:.0f} s")


def _works(pod: Manifest) -> bool:
    running = any("running" in c["state"] for c in pod["status"].get("containerStatuses", []))
    return pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"] and running


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
