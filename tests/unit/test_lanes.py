"""The closing words of `make test`: what was red and whose, and what was slow."""

from __future__ import annotations

import pytest

from tests import lanes

E2E = """
F.
tests/e2e/test_road.py::test_a[x]: the cluster's: the store is not available
============================= slowest 5 durations =============================
   61.20s call     tests/e2e/test_road.py::test_a[x]
    2.00s setup    tests/e2e/test_pods.py::test_b
=========================== short test summary info ===========================
FAILED tests/e2e/test_road.py::test_a[x] - AssertionError: no
ERROR tests/e2e/test_pods.py::test_b - OSError
1 failed, 3 passed, 1 error in 70.1s
"""


@pytest.mark.parametrize(
    ("states", "whose"),
    [
        ({"node": "ready", "kubelet": "stopped"}, "the cluster's: kubelet is stopped"),
        ({"node": "ready"}, "the product's or the test's: the cluster is whole"),
    ],
)
def test_each_red_test_says_whose_it_is(monkeypatch: pytest.MonkeyPatch, states: dict[str, str], whose: str) -> None:
    monkeypatch.setattr("tests.lanes.cluster.status", lambda: states)
    result = lanes.run_lane("end-to-end", lambda _: (1, E2E), full=False)
    first, second = "tests/e2e/test_road.py::test_a[x]", "tests/e2e/test_pods.py::test_b"
    whole = "the cluster's: the store is not available\n    AssertionError: no"
    assert result.red == {first: whole, second: f"{whose}\n    OSError"}
    told = lanes.closing([result])
    assert f"{second}: {whose}\n    OSError" in told and f"     61 s  {first}" in told


def test_a_lane_without_a_cluster_blames_none_and_a_green_one_nobody() -> None:
    red = lanes.run_lane("unit", lambda _: (1, E2E), full=False).red
    assert "no cluster" in red["tests/e2e/test_pods.py::test_b"]
    green = lanes.run_lane("unit", lambda _: (0, "3 passed in 1s"), full=False)
    assert green.red == {} and "whose" not in lanes.closing([green])


def test_a_full_run_of_one_lane_leaves_the_lines_of_the_others() -> None:
    def ran(name: str, code: int) -> lanes.Result:
        return lanes.Result(name, code, 12.4, {"passed": 3, "failed": code})

    first = lanes.full_page([ran("storage", 0), ran("unit", 0)], "", "monday")
    both = lanes.full_page([ran("unit", 1), ran("trainer", 0)], first, "tuesday")
    assert [line.split(" | ")[0] for line in both.splitlines()[6:]] == ["| unit", "| storage", "| trainer"]
    assert "| unit | red | 3 passed, 1 failed | 12 | tuesday |" in both
    assert "| storage | ok | 3 passed, 0 failed | 12 | monday |" in both and first.count("monday") == 2
