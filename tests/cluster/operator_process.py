"""The operator as a process beside an API server, with a store that does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dev.localcluster.children import free_port
from dev.localcluster.waiting import answers


@dataclass(frozen=True)
class OperatorProcess:
    """A running operator: its health port, its log and its process."""

    port: int
    log: Path
    pid: int

    def alive(self) -> bool:
        """What the liveness probe would find."""
        return answers(f"http://127.0.0.1:{self.port}/healthz")

    def ready(self) -> bool:
        """What the readiness probe would find."""
        return answers(f"http://127.0.0.1:{self.port}/readyz")


@contextmanager
def operator_process(
    kubeconfig: Path, namespace: str, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[OperatorProcess]:
    """Run the operator with a kubeconfig, and variables of its own if some are given, until the block ends."""
    port = free_port()
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "MODELYARD_NAMESPACE": namespace,
        "MODELYARD_HEALTH_PORT": str(port),
        "MODELYARD_ENDPOINT_PORT": str(free_port()),
        "MODELYARD_TRAINER_IMAGE": "trainer:1",
        "MODELYARD_SERVER_IMAGE": "server:1",
        "MODELYARD_STORE_ENDPOINT": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "k3y",
        **(settings or {}),
    }
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, "-m", "modelyard", "run"], env=environment, stdout=out, stderr=out)
        try:
            yield OperatorProcess(port, log, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)
