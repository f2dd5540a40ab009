"""What the machine is and can do at best: the limits beside which figures are read."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

from dev.bench.figure import Row, percentile

SYNCS = 200


def describe() -> dict[str, str]:
    """Cores, processor, memory, kernel and load."""
    fields = {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _field("/proc/cpuinfo", "model name"),
        "memory": f"{int(_field('/proc/meminfo', 'MemTotal').split()[0]) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load at start": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    return {**fields, "on tmpfs": "etcd's data, the store's data, kubeconfigs"}


def disk_sync() -> list[Row]:
    """What one durable write of 4 KiB takes on the disk, which etcd would wait for."""
    times = []
    with tempfile.NamedTemporaryFile(dir=Path.cwd()) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 4096)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    return [Row("machine: fdatasync of 4 KiB on disk, p50 (etcd lies on tmpfs here)", percentile(times, 0.5), "ms")]


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"
