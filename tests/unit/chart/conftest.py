import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import helm

CHART = Path(__file__).parents[3] / "charts" / "modelyard"
BASIC = ("store.endpoint=http://store:9000", "store.existingSecret=key")
Render = Callable[..., list[dict[str, Any]]]


def template(*values: str) -> subprocess.CompletedProcess[str]:
    settings = [part for value in values for part in ("--set", value)]
    return helm("template", "prod", str(CHART), "--namespace", "ops", "--kube-version", "1.34.0", *settings)


@pytest.fixture(scope="session")
def render() -> Render:
    """Objects of the chart with the required values and those given."""
    known: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def objects(*values: str, basic: bool = True) -> list[dict[str, Any]]:
        chosen = (*BASIC, *values) if basic else values
        if chosen not in known:
            done = template(*chosen)
            assert done.returncode == 0, done.stderr
            known[chosen] = [found for found in yaml.safe_load_all(done.stdout) if found]
        return known[chosen]

    return objects
