"""Pod Security `restricted` over every pod template; the real admission sees them in tests/cluster."""

from __future__ import annotations

import functools

import pytest

from tests.podtemplates import BREAKS, Pod, all_pods, broken, violations

OPERATORS = ("chart: ",)
"""Pods that speak with the API server; all others get no token for it."""


@functools.cache
def pods() -> dict[str, Pod]:
    return all_pods()


PROFILED = ("run with all that a profile adds", "server with all that a profile adds")
NAMES = (
    *("run", "run with GPUs", "preparation", "preparation with a key of its own", "server", "server under KServe"),
    *("run whose user the cluster chooses", *PROFILED),
    *("chart: Deployment prod-modelyard", "chart: Job prod-modelyard-release"),
)


def test_no_pod_is_forgotten() -> None:
    assert set(pods()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_restricted_with_a_root_that_is_read_only(name: str) -> None:
    assert list(violations(pods()[name])) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(OPERATORS)])
def test_no_token_for_the_api_server(name: str) -> None:
    assert pods()[name]["automountServiceAccountToken"] is False
    assert name in PROFILED or "serviceAccountName" not in pods()[name]


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_rule_is_noticed(name: str) -> None:
    assert list(violations(broken(pods()["run"], name)))
