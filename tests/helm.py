"""Helm for tests that need no cluster."""

from __future__ import annotations

import os
import subprocess

import pytest

from dev.localcluster.tools import binary, is_built


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it; `make test-fast`, which builds nothing, leaves such tests to `make test` until Helm is built."""
    if os.environ.get("MODELYARD_BUILDS") == "no" and not is_built("helm"):
        pytest.skip("Helm is not built yet: `make test` builds it, and runs this")
    return subprocess.run([str(binary("helm")), *arguments], capture_output=True, text=True, check=False)
