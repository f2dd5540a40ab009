"""The recorded objects under the baseline's operator and under the next one, both ways: nobody begins, ends or writes.

The next release is this checkout with changes planted (planted.py); each wrong variant of a change must be noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.kubectl import Kubectl
from tests.upgrade import baseline, registry
from tests.upgrade.ground import define, standing
from tests.upgrade.planted import DEFAULT, FORGETFUL, IMAGES, NEXT, WRONG, planted
from tests.upgrade.runtime import Ground, crds_of, operator, requests, writes

HOUR = timedelta(hours=1)
BEHIND = ["patch deployments team/held-v2", *(f"patch modeldeployments/status team/{n}" for n in ("live", "pinned"))]
"""Another server image is told once by each ModelDeployment that serves, and a candidate is tried with it."""


@pytest.fixture(scope="module")
def old() -> Path:
    """The baseline's operator."""
    return baseline.source()


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next release's."""
    return planted(tmp_path_factory.mktemp("next"), NEXT)


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """API server and store with the baseline's definitions."""
    with standing(baseline.DEFINITIONS.read_text()) as found:
        yield found


def written(ground: Ground, source: Path, log: Path, **more: str) -> list[str]:
    """What an operator writes while it settles."""
    before = requests(ground.api)
    with operator(ground, source, log, **more) as process:
        process.settle()
    return writes(ground.api, before)


def statuses(ground: Ground) -> dict[str, Any]:
    """Status of every ModelDeployment."""
    listed = json.loads(Kubectl(ground.api.kubeconfig).ok("get", "mdep", "-A", "-o", "json"))["items"]
    return {obj["metadata"]["name"]: obj["status"] for obj in listed}


def without_behind(status: dict[str, Any]) -> dict[str, Any]:
    """A status but for what says that its server is behind."""
    versions = [{k: v for k, v in version.items() if k != "behind"} for version in status["versions"]]
    conditions = [c for c in status["conditions"] if c["type"] != "OutOfDate"]
    return {**status, "versions": versions, "conditions": conditions}


def test_operator_first_then_definitions(ground: Ground, later: Path, tmp_path: Path) -> None:
    baseline.restore(ground)
    before, since = statuses(ground), requests(ground.api)
    with operator(ground, later, tmp_path / "log", **IMAGES) as process:
        process.settle()
        define(Kubectl(ground.api.kubeconfig), crds_of(later))
        process.settle()
    assert sorted(writes(ground.api, since)) == BEHIND
    for name, after in statuses(ground).items():
        assert without_behind(after) == without_behind(before[name])


@pytest.mark.full
def test_the_baseline_leaves_its_own_recording_alone(ground: Ground, old: Path, tmp_path: Path) -> None:
    define(Kubectl(ground.api.kubeconfig), baseline.DEFINITIONS.read_text())
    baseline.restore(ground)
    assert written(ground, old, tmp_path / "log") == []


@pytest.mark.full
def test_definitions_first_then_operator_and_back_after_an_hour(
    ground: Ground, old: Path, later: Path, tmp_path: Path
) -> None:
    define(Kubectl(ground.api.kubeconfig), crds_of(later))
    baseline.restore(ground)
    assert written(ground, old, tmp_path / "old") == []
    assert written(ground, later, tmp_path / "later") == []
    baseline.restore(ground, HOUR)
    assert written(ground, old, tmp_path / "back") == []


@pytest.mark.full
def test_a_word_of_the_next_release_is_left_alone(ground: Ground, old: Path, later: Path, tmp_path: Path) -> None:
    define(Kubectl(ground.api.kubeconfig), crds_of(later))
    baseline.restore(ground)
    unknown_word(ground)
    assert written(ground, old, tmp_path / "old") == []
    forgetful = planted(tmp_path / "forgetful", [FORGETFUL])
    assert written(ground, forgetful, tmp_path / "log") != []


@pytest.mark.full
def test_a_default_that_comes_with_the_definitions_is_noticed(ground: Ground, old: Path, tmp_path: Path) -> None:
    define(Kubectl(ground.api.kubeconfig), crds_of(planted(tmp_path / "wrong", [*NEXT, DEFAULT])))
    baseline.restore(ground)
    assert written(ground, old, tmp_path / "old") != []


def unknown_word(ground: Ground) -> None:
    """The next release has judged runs in its own words."""
    for obj in baseline.objects(timedelta(minutes=1)):
        if obj["kind"] == "FineTuneJob" and obj["metadata"]["name"] in ("sentiment", "no-pod"):
            obj["status"]["run"]["state"] = "Judging"
            registry.put(ground.api.etcd_url, obj)


@pytest.mark.full
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_variant_turns_the_lane_red(ground: Ground, wrong: str, tmp_path: Path) -> None:
    source = planted(tmp_path / "wrong", [*NEXT, WRONG[wrong]])
    define(Kubectl(ground.api.kubeconfig), crds_of(source))
    baseline.restore(ground)
    found = sorted(written(ground, source, tmp_path / "log", **IMAGES))
    assert found != BEHIND
