"""What was freed between things that stay goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

HOLES = """
import asyncio
from pathlib import Path
from modelyard.engine.heap import give_back_forever

def resident() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

async def main() -> None:
    words = [bytes(2000) for _ in range(50_000)]
    kept = words[::50] + words[-1:]
    del words
    before, task = resident(), asyncio.create_task(give_back_forever(0.01))
    await asyncio.sleep(0.5)
    print(before - resident())

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="not glibc")
def test_freed_memory_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 30
