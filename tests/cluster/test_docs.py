"""Every object that the pages show is taken by a real API server under strict validation, and does not drift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.localcluster.apiserver import ApiServer
from tests.cluster.kubectl import Kubectl
from tests.docs import Block, all_blocks, unlisted

CRDS = Path(__file__).parents[2] / "crds"
OBJECTS = all_blocks("yaml", "")


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "-f", str(CRDS))
        kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield kubectl


def test_every_page_is_in_the_index() -> None:
    """Only pages that docs/index.md leads to are looked at."""
    assert OBJECTS and unlisted() == []


@pytest.mark.parametrize("block", OBJECTS, ids=str)
def test_a_sample_is_accepted_and_does_not_drift(kubectl: Kubectl, block: Block, tmp_path: Path) -> None:
    sample = tmp_path / "sample.yaml"
    sample.write_text(block.text)
    kubectl.ok("apply", "--validate=strict", "-f", str(sample))
    assert kubectl.ok("diff", "-f", str(sample)) == ""
