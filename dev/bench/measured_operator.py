"""The operator as a process of its own, with the shipped settings; what it uses."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from dev.localcluster.children import Child, free_port

START_SECONDS = 60.0
TICKS = os.sysconf("SC_CLK_TCK")


class MeasuredOperator:
    """One `modelyard run` on a kubeconfig and a store."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._port = free_port()
        ports = {"MODELYARD_HEALTH_PORT": str(self._port), "MODELYARD_ENDPOINT_PORT": str(free_port())}
        self._environment = {**environment, **ports}
        self._child = Child("operator", [sys.executable, "-m", "modelyard", "run"], folder)

    async def start(self) -> float:
        """Start it and wait until it acts; gives the seconds that took."""
        started = time.monotonic()
        self._child.start(self._environment)
        while not await asyncio.to_thread(self._ready):
            self._child.must_run()
            if time.monotonic() - started > START_SECONDS:
                raise TimeoutError(f"the operator is not ready after {START_SECONDS:.0f} s, see {self._child.log}")
            await asyncio.sleep(0.05)
        return time.monotonic() - started

    async def kill(self) -> None:
        """As a crash does."""
        await asyncio.to_thread(self._child.stop, 0.0)

    def launch(self, identity: str = "") -> None:
        """Start it, or start it again after it has ended, and do not wait."""
        self._child.start({**self._environment, **({"MODELYARD_IDENTITY": identity} if identity else {})})

    def running(self) -> bool:
        """Whether the process lives."""
        return self._child.running()

    def log(self) -> str:
        """All it has written, over all of its starts."""
        return self._child.log.read_text(errors="replace")

    async def stop(self) -> None:
        """As the kubelet does."""
        await asyncio.to_thread(self._child.stop, 20.0)

    @property
    def pid(self) -> int:
        """Number of the process."""
        process = self._child._process
        if process is None:
            raise RuntimeError("the operator does not run")
        return process.pid

    def memory(self) -> float:
        """Resident MB now."""
        return self._status("VmRSS") / 1000

    def peak(self) -> float:
        """Largest resident MB so far."""
        return self._status("VmHWM") / 1000

    def cpu(self) -> float:
        """CPU seconds so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return float(line.split()[1])
        return 0.0

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
