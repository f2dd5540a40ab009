"""Known bugs, one at a time: each must break the very promise that it is about, or the promises are idle."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.simulation import planted_bugs as bugs
from tests.simulation.planted_bugs import Patch
from tests.simulation.playing import play
from tests.unit.engine import test_sweep as of_sweeps
from tests.unit.resources.finetunejob import test_endings as of_endings
from tests.unit.resources.finetunejob import test_runs as of_runs
from tests.unit.resources.modeldeployment import test_order as of_order

MOST = 600
"""Scenarios that are tried where the pinned one does not notice the bug any more: then pin another seed."""


@dataclass(frozen=True)
class Bug:
    """What plants it, the promise that it breaks (a regular expression), and a scenario in which it does."""

    plant: Callable[[Patch], None]
    breaks: str
    seed: int


BUGS = (
    Bug(bugs.a_base_is_known_by_its_listing, r"is of base sha256:\w+, which is", 0),
    Bug(bugs.effects_come_before_the_status, r"is swept before the status says", 0),
    Bug(bugs.one_number_for_all, r"number 1 of \S+ was of run", 161),
    Bug(bugs.nothing_is_verified, r"says Verified, but intact is False", 51),
    Bug(bugs.unverified_versions_are_served, r"which never was Ready", 521),
    Bug(bugs.gates_do_not_count, r"which never passed its gate", 76),
    Bug(bugs.any_answer_is_good, r"which never answered as itself", 13),
    Bug(bugs.traffic_goes_to_the_candidate, r"which never answered as itself", 3),
    Bug(bugs.the_switch_is_not_awaited, r"to which the stable Service points", 13),
    Bug(bugs.a_new_address_is_believed, r"its address has never answered", 6),
    Bug(bugs.the_old_server_goes_first, r"to which the stable Service points", 6),
    Bug(bugs.versions_in_use_are_deleted, r"goes, \S+ serves it", 152),
    Bug(bugs.attempts_are_not_runs_of_their_own, r"is of attempt and epochs", 23),
    Bug(bugs.live_jobs_are_pruned, r"still WaitingForPod", 0),
    Bug(bugs.reconciling_stays_as_false, r"has conditions", 0),
    Bug(bugs.users_specs_are_written, r"changes spec, labels or annotations", 9),
    Bug(bugs.a_stale_cache_is_kept, r"remembers .*, there is", 2),
    Bug(bugs.statuses_are_written_blindly, r"was \w+ and is Running", 212),
    Bug(bugs.conditions_bear_the_time_of_each_reconcile, r"a settled cluster took \d+ more writes", 0),
    Bug(bugs.what_ended_comes_back, r"a settled cluster took \d+ more writes", 165),
    Bug(bugs.askers_are_not_woken, r"a settled cluster took \d+ more writes", 0),
    Bug(bugs.wishes_during_a_reconcile_are_lost, r"a settled cluster took \d+ more writes", 42),
    Bug(bugs.failed_reconciles_are_not_tried_again, r"a settled cluster took \d+ more writes", 0),
    Bug(bugs.strangers_are_taken_over, r"which is somebody else's", 27),
    Bug(bugs.the_highest_version_is_never_left, r"serves \d+, should serve", 152),
    Bug(bugs.the_lease_is_ignored, r"has led for", 1),
    Bug(bugs.traffic_leaves_for_whatever_drains, r"leaves version \S+, which is seen to answer", 89),
    Bug(bugs.artifacts_stay_behind, r"goes, its artifacts stay", 115),
    Bug(bugs.lost_files_are_not_missed, r"says Verified, but intact is False", 89),
    Bug(bugs.an_ended_run_begins_anew, r"was Failed and is", 21),
    Bug(bugs.older_news_replace_newer, r"a settled cluster took \d+ more writes", 61),
    Bug(bugs.kserves_return_is_not_noticed, r"is not Ready: .*KServeMissing", 233),
    Bug(bugs.a_refresh_needs_no_trial, r"which never answered as itself", 49),
    Bug(bugs.requests_to_refresh_are_not_heard, r"was asked to refresh", 161),
    Bug(bugs.servers_follow_in_place, r"starts the pods of \S+ anew, which has the traffic", 49),
    Bug(bugs.a_refuted_version_never_ends_its_trial, r"candidate \d+ is still on trial", 206),
    Bug(bugs.a_lost_service_selects_nobody, r"which never answered as itself", 671),
    Bug(bugs.a_deployment_made_anew_lets_its_server_go, r"to which the stable Service points", 89),
    Bug(bugs.new_jobs_are_made_twice, r"takes Job \S+ out of its queue", 0),
    Bug(bugs.pinned_deployments_stay_behind, r"is behind .*, though the installation moves servers", 193),
    Bug(bugs.waiting_jobs_follow_the_installation, r"takes Job \S+ out of its queue", 283),
)
SELDOM_MET: dict[Callable[[Patch], None], Callable[[], None]] = {
    bugs.numbers_are_not_spent: of_sweeps.test_a_number_is_spent_before_its_files_go,
    bugs.the_drain_ends_whoever_is_up: of_order.test_a_version_drains_until_its_successor_is_up,
    bugs.pods_of_old_jobs_do_not_count: of_runs.test_no_pod_is_made_beside_one_that_another_objects_job_left,
    bugs.failed_jobs_go_on: of_endings.test_memory_ends_the_run_at_once_and_the_job_is_held_for_its_logs,
}
"""Bugs that scenarios hardly ever meet, and the unit test that each of them fails."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_a_planted_bug_breaks_its_promise(bug: Bug, monkeypatch: Patch) -> None:
    bug.plant(monkeypatch)
    met: list[str] = []
    for seed in (bug.seed, *range(MOST)):
        broken = play(seed, lines=1).broken
        if any(re.search(bug.breaks, promise, re.DOTALL) for promise in broken):
            print(f"{bug.plant.__name__}: scenario {seed}: {broken[0][:150]}")
            return
        met += broken
    pytest.fail(f"{MOST} scenarios broke no promise like {bug.breaks!r}, but {met[:3]}")


@pytest.mark.parametrize("plant", SELDOM_MET, ids=lambda plant: plant.__name__)
def test_a_planted_bug_fails_its_unit_test(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    SELDOM_MET[plant]()
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        SELDOM_MET[plant]()


def test_no_bug_is_forgotten() -> None:
    planted = {found for name, found in vars(bugs).items() if _plants(name, found)}
    assert planted == {bug.plant for bug in BUGS} | {*SELDOM_MET}


def _plants(name: str, found: object) -> bool:
    return getattr(found, "__annotations__", {}) == {"patch": "Patch", "return": "None"} and not name.startswith("_")
