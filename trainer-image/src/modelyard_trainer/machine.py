"""What this machine gives us: CPU limit of the container, bf16 in hardware, the time the process started."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_limit(cgroup: Path = CGROUP) -> int:
    """Whole CPUs this process may use: the cgroup's quota (v2 or v1) rounded up, at most the CPUs it may run on."""
    available = len(os.sched_getaffinity(0))
    quota = _quota_v2(cgroup) or _quota_v1(cgroup)
    return max(1, min(available, math.ceil(quota))) if quota else available


def set_threads() -> int:
    """Make numeric libraries use the CPU limit unless the user chose; must run before they are imported.

    Threads that wait must sleep: spinning ones take the CPU from those they wait for, which on a node shared with
    others made a step 2 to 10 times slower. And oneDNN keeps code for 1,024 shapes unless told otherwise, and each
    length of a batch is a shape of its own: 40 steps on longer texts took 2,982 MB, with 64 shapes 2,560 MB.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    return int(os.environ.setdefault("OMP_NUM_THREADS", str(cpu_limit())))


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """True if the CPU multiplies bf16 in hardware; elsewhere it is emulated and many times slower than fp32."""
    flags = next((line for line in _text(cpuinfo).splitlines() if line.startswith(("flags", "Features"))), "")
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags.split()))


def seconds_running() -> float:
    """Seconds since the operating system started this process, imports included."""
    fields = _text(Path("/proc/self/stat")).rpartition(")")[2].split()
    if not fields:
        return time.process_time()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _quota_v2(cgroup: Path) -> float | None:
    words = _text(cgroup / "cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0] != "max" else None


def _quota_v1(cgroup: Path) -> float | None:
    quota, period = (_text(cgroup / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    return int(quota) / int(period) if quota and period and int(quota) > 0 else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
