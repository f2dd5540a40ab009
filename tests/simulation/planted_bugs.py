"""Known bugs, one function each, that plants it for the time of a test."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.deciding import FINETUNEJOB
from modelyard.decision import Decision
from modelyard.engine import apply, cache, effects, lease, loop, resync
from modelyard.engine.facts import store as store_facts
from modelyard.engine.kserve import KServe
from modelyard.engine.queue import WorkQueue
from modelyard.resources import conditions, hashes, jobs, run_job
from modelyard.resources.finetunejob import pins, run_id, training_job
from modelyard.resources.modeldeployment import (
    address,
    health,
    refresh,
    rollout,
    servers,
    situation,
    stable_service,
)
from modelyard.resources.modeldeployment import rules as trial
from modelyard.resources.modelversion import deletion, rules, verification
from modelyard.rule_lists import LISTS
from tests.simulation import clock

Patch = pytest.MonkeyPatch


def one_number_for_all(patch: Patch) -> None:
    def claims(store: Any, bucket: str, namespace: str, model: str, run: str) -> int:
        store.put(bucket, layout.number_key(namespace, model, 1), json.dumps({"run": run}).encode())
        return 1

    patch.setattr(effects, "claim_number", claims)


def numbers_are_not_spent(patch: Patch) -> None:
    patch.setattr(effects, "spend_number", lambda *args: None)


def a_base_is_known_by_its_listing(patch: Patch) -> None:
    real = store_facts.StoreFacts._base_record
    patch.setattr(store_facts.StoreFacts, "_base_record", lambda self, args: real(self, args) and args["listing"])


def effects_come_before_the_status(patch: Patch) -> None:
    real = apply.carry_out

    async def hasty(reconciler: Any, obj: Any, observed: Any, decision: Any, context: Any) -> Any:
        await apply._take_effect(cache.key_of(obj), decision.effects, context)
        return await real(reconciler, obj, observed, decision, context)

    patch.setattr(loop, "carry_out", hasty)


def nothing_is_verified(patch: Patch) -> None:
    patch.setattr(store_facts, "check_listing", lambda *args: None)


def unverified_versions_are_served(patch: Patch) -> None:
    patch.setattr(situation, "is_ready", lambda obj: True)


def gates_do_not_count(patch: Patch) -> None:
    real = situation._version
    patch.setattr(situation, "_version", lambda obj: (v := real(obj)) and replace(v, gate="passed"))


def any_answer_is_good(patch: Patch) -> None:
    patch.setattr(trial, "fault_in", lambda version, answer: "")


def traffic_goes_to_the_candidate(patch: Patch) -> None:
    change_rollouts(
        patch, lambda found: replace(found, traffic=found.candidate.server if found.candidate else found.traffic)
    )


def change_rollouts(patch: Patch, change: Callable[[rollout.Rollout], rollout.Rollout]) -> None:
    real = rollout.advance
    decide = sys.modules["modelyard.resources.modeldeployment.decide"]
    patch.setattr(decide, "advance", lambda *args: change(real(*args)))


def the_switch_is_not_awaited(patch: Patch) -> None:
    """The status says that the candidate serves, the old server goes, and then the Service is written."""

    def at_once(found: rollout.Rollout) -> rollout.Rollout:
        moves = found.traffic != found.serving and found.candidate and found.traffic == found.candidate.server
        return replace(found, serving=found.traffic, candidate=None) if moves else found

    change_rollouts(patch, at_once)


def the_drain_ends_whoever_is_up(patch: Patch) -> None:
    patch.setattr(rollout, "answering", lambda s, number: 1)
    patch.setattr(rollout, "_traffic", lambda s, draining: s.serving)


def traffic_leaves_for_whatever_drains(patch: Patch) -> None:
    def away(found: rollout.Rollout) -> rollout.Rollout:
        return replace(found, traffic=found.draining[0][0]) if found.draining else found

    change_rollouts(patch, away)


def a_new_address_is_believed(patch: Patch) -> None:
    patch.setattr(rollout, "unanswered", lambda s, now: "")


def the_old_server_goes_first(patch: Patch) -> None:
    patch.setattr(servers, "_serving", lambda s, number, *, follow_spec: iter(()))


def versions_in_use_are_deleted(patch: Patch) -> None:
    patch.setattr(deletion, "users", lambda *args: {})


def artifacts_stay_behind(patch: Patch) -> None:
    def goes(p: rules.Picture) -> Decision | None:
        return Decision(finalizers=()) if deletion.being_deleted(p.obj) else None

    replace_rule(patch, "ModelVersion", rules.is_being_removed, goes)


def replace_rule(patch: Patch, kind: str, old: Callable[[Any], Any], new: Callable[[Any], Any]) -> None:
    patch.setitem(LISTS, kind, [new if rule is old else rule for rule in LISTS[kind]])


def lost_files_are_not_missed(patch: Patch) -> None:
    patch.setattr(verification, "LOST", ())


def an_ended_run_begins_anew(patch: Patch) -> None:
    real = pins.current_run

    def forgetful(case: Any) -> Any:
        run = real(case)
        return run if run is None or run.state != "Failed" else run.model_copy(update={"state": "Running"})

    patch.setattr(sys.modules["modelyard.resources.finetunejob.decide"], "current_run", forgetful)


def attempts_are_not_runs_of_their_own(patch: Patch) -> None:
    table = replace(FINETUNEJOB, deciding={path: v for path, v in FINETUNEJOB.deciding.items() if path != "attempt"})
    patch.setattr(hashes, "RULES", {1: hashes.Rule(job=replace(table, other=table.other | {"attempt"}))})
    patch.setattr(run_id, "RULES", hashes.RULES)


def pods_of_old_jobs_do_not_count(patch: Patch) -> None:
    patch.setattr(jobs, "orphaned_pods", lambda *args: ())


def live_jobs_are_pruned(patch: Patch) -> None:
    real = run_job.children
    patch.setattr(run_job, "children", lambda plan, suspend=None, **more: real(plan, suspend, **more)[:1])


def failed_jobs_go_on(patch: Patch) -> None:
    patch.setattr(run_job, "after_failure", lambda name, observed: run_job.kept(name))


def statuses_are_written_blindly(patch: Patch) -> None:
    async def blind(obj: Any, status: Any, context: Any) -> tuple[Any, bool]:
        change = apply.merge_patch(obj.get("status", {}), status) if status is not None else {}
        if not change:
            return obj, False
        written = await context.kube.patch(*cache.key_of(obj), {"status": change}, "status")
        context.learn(written)
        return written, True

    patch.setattr(apply, "_write_status", blind)


def conditions_bear_the_time_of_each_reconcile(patch: Patch) -> None:
    def restless(new: Any, old: Any, generation: int, now: Any) -> Any:
        stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**new, "lastTransitionTime": stamp, "observedGeneration": generation}

    patch.setattr(conditions, "_timed", restless)


def reconciling_stays_as_false(patch: Patch) -> None:
    real = conditions.conditions

    def talkative(obj: Any, verdict: Any, now: Any, *more: Any) -> Any:
        rest = {"type": names.STALLED, "status": "False", "reason": "Fine", "message": ""}
        return real(obj, verdict, now, *more, *(() if verdict.stalled else (rest,)))

    patch.setattr("modelyard.resources.dataset.status.conditions", talkative)


def users_specs_are_written(patch: Patch) -> None:
    real = apply._write_status

    async def helpful(obj: Any, status: Any, context: Any) -> Any:
        if obj["kind"] == "FineTuneJob" and obj["spec"].get("attempt", 1) > 1:
            await context.kube.patch(*cache.key_of(obj), {"spec": {"attempt": 1}})
        return await real(obj, status, context)

    patch.setattr(apply, "_write_status", helpful)


def strangers_are_taken_over(patch: Patch) -> None:
    patch.setattr(apply, "_refuse_foreign", lambda *args: None)


def older_news_replace_newer(patch: Patch) -> None:
    numbers = count(1)
    patch.setattr(cache, "version_of", lambda obj: next(numbers))


def what_ended_comes_back(patch: Patch) -> None:
    patch.setattr(cache, "ENDED_KEPT", 0)


def askers_are_not_woken(patch: Patch) -> None:
    patch.setattr(cache.ReverseIndex, "askers", lambda self, obj: iter(()))


def wishes_during_a_reconcile_are_lost(patch: Patch) -> None:
    real = WorkQueue.add
    patch.setattr(WorkQueue, "add", lambda self, key: None if key in self._running else real(self, key))


def failed_reconciles_are_not_tried_again(patch: Patch) -> None:
    patch.setattr(WorkQueue, "add_after", lambda self, key, seconds: None)


def a_stale_cache_is_kept(patch: Patch) -> None:
    async def nothing(self: Any, *objects: Any) -> None: ...

    patch.setattr(loop.Engine, "_read_again", nothing)
    patch.setattr(resync, "resync_kind", resync_lists_nothing)


async def resync_lists_nothing(*_: Any) -> int:
    return 0


def the_lease_is_ignored(patch: Patch) -> None:
    async def at_once(self: Any) -> None: ...

    patch.setattr(lease.LeaseGuard, "wait", at_once)
    patch.setattr(lease.LeaseGuard, "held", property(lambda self: True))


def the_highest_version_is_never_left(patch: Patch) -> None:
    patch.setattr(situation.Version, "rejected", property(lambda version: False))


def kserves_return_is_not_noticed(patch: Patch) -> None:
    real = KServe._appeared

    async def once(self: Any) -> None:
        if not vars(self).setdefault("appeared", False):
            await real(self)
        self.appeared = True

    patch.setattr(KServe, "_appeared", once)


def waiting_jobs_follow_the_installation(patch: Patch) -> None:
    real = pins.refreshed
    patch.setattr(training_job, "refreshed", lambda case, run, waits=False: real(case, run))


def servers_follow_in_place(patch: Patch) -> None:
    patch.setattr(servers, "pinned_template", lambda live: None)


def requests_to_refresh_are_not_heard(patch: Patch) -> None:
    patch.setattr(refresh, "wanted", lambda s: False)


def a_refresh_needs_no_trial(patch: Patch) -> None:
    def at_once(found: rollout.Rollout) -> rollout.Rollout:
        again = found.candidate and found.serving and found.candidate.number == found.serving.number
        return replace(found, traffic=found.candidate.server) if again and found.candidate else found

    change_rollouts(patch, at_once)


def a_refuted_version_never_ends_its_trial(patch: Patch) -> None:
    """It answers, at a new Service, too, and is not believed."""
    real = address.unanswered

    def doubtful(s: Any, now: Any) -> str:
        version = s.versions.get(s.serving.number) if s.serving else None
        return real(s, now) or ("not believed" if version is not None and not version.ready else "")

    patch.setattr(rollout, "unanswered", doubtful)


def a_lost_service_selects_nobody(patch: Patch) -> None:
    """The stable Service of a version that is down is made again with the selector of none."""
    real = stable_service.stable_service

    def astray(s: Any, serving: Any) -> Any:
        service = real(s, serving)
        if s.selected is None and s.serving is not None and not health.answering(s, serving):
            service["spec"]["selector"][names.LABEL_SERVER] = "none"
        return service

    patch.setattr(servers, "stable_service", astray)


def a_deployment_made_anew_lets_its_server_go(patch: Patch) -> None:
    """As the old server that goes first, but only where an object of the name was there before."""
    real, first, last = servers._serving, dict[str, str](), [0.0]

    def forgetful(s: Any, number: Any, *, follow_spec: bool) -> Any:
        if clock.seconds() < last[0]:  # another scenario
            first.clear()
        uid, last[0] = s.obj["metadata"]["uid"], clock.seconds()
        return real(s, number, follow_spec=follow_spec) if first.setdefault(s.name, uid) == uid else iter(())

    patch.setattr(servers, "_serving", forgetful)


def new_jobs_are_made_twice(patch: Patch) -> None:
    """A Job that has just been made is taken for one of an older profile, once."""
    real, known = run_job.is_stale, set[str]()

    def at_first(live: Any, *more: Any, **how: Any) -> bool:
        name = live["metadata"]["name"] if live else ""
        new = live is not None and live["kind"] == "Job" and name not in known
        known.add(name)
        return new or real(live, *more, **how)

    patch.setattr(run_job, "is_stale", at_first)


def pinned_deployments_stay_behind(patch: Patch) -> None:
    real = refresh.wanted
    patch.setattr(refresh, "wanted", lambda s: s.spec.model.version is None and real(s))
