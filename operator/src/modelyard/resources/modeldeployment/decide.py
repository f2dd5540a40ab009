"""What a ModelDeployment needs to know, and the servers, the address and the status that follow."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from modelyard.api.modeldeployment import ModelDeploymentSpec
from modelyard.decision import Decision, Manifest, Need, Observed
from modelyard.resources.clock import elapsed
from modelyard.resources.conditions import Verdict, conditions
from modelyard.resources.conditions import events as ready_events
from modelyard.resources.modeldeployment.address import PATIENCE, address_needs
from modelyard.resources.modeldeployment.candidate import standing, trial_needs
from modelyard.resources.modeldeployment.profile import profile_needs
from modelyard.resources.modeldeployment.rollout import Rollout, advance, drain_left, on_trial
from modelyard.resources.modeldeployment.servers import as_they_are, children
from modelyard.resources.modeldeployment.situation import Situation, made_by_kserve, situation, versions_select
from modelyard.resources.modeldeployment.status import events, status_of_rollout, verdict_of
from modelyard.resources.modeldeployment.target import choose
from modelyard.resources.parse import spec_of
from modelyard.resources.scheduling import capacity_needs

PROBE_EVERY = 5.0
LOOK_AGAIN = 30.0
SEEN_SOON = 1.0
"""Seconds after which it is looked whether the Service moved, or a new address answers; an event mostly comes first."""


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """The model's versions, what KServe makes of our servers, a candidate's sample and then its prediction."""
    spec = spec_of(ModelDeploymentSpec, obj)
    if isinstance(spec, Verdict):
        return
    yield versions_select(obj["metadata"]["namespace"], spec)
    yield from profile_needs(obj, spec, observed)
    yield from (made_by_kserve(child) for child in observed.children if child["kind"] == "InferenceService")
    yield from capacity_needs(observed.pods)
    s = situation(obj, spec, observed)
    candidate = on_trial(s, choose(s))
    yield from address_needs(s)
    if candidate is not None:
        yield from trial_needs(s, candidate)


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Choose the wanted version, advance the rollout by what is known, and say what stands."""
    spec = spec_of(ModelDeploymentSpec, obj)
    if obj["metadata"].get("deletionTimestamp"):
        return Decision(children=as_they_are(observed.children))
    if isinstance(spec, Verdict):
        return _invalid(obj, observed, spec, now)
    s = situation(obj, spec, observed)
    target = choose(s)
    rollout = advance(s, target, now)
    verdict = verdict_of(s, target, rollout)
    return Decision(
        status=status_of_rollout(s, target, rollout, verdict, now),
        children=tuple(children(s, rollout)),
        events=events(s, rollout, verdict),
        wake_after=_wake_after(s, rollout, now),
    )


def _invalid(obj: Manifest, observed: Observed, verdict: Verdict, now: datetime) -> Decision:
    last = dict(obj.get("status") or {})
    common = {
        "observedGeneration": obj["metadata"].get("generation", 0),
        "conditions": conditions(obj, verdict, now),
        "phase": verdict.reason,
    }
    return Decision(last | common, as_they_are(observed.children), ready_events(obj, verdict))


def _wake_after(s: Situation, rollout: Rollout, now: datetime) -> float | None:
    waits = [drain_left(rollout, now)]
    if rollout.traffic != rollout.serving:
        waits.append(SEEN_SOON)
    if rollout.serving is not None and rollout.unanswered:
        last = s.last.of(str(rollout.serving))
        waits.append(SEEN_SOON if last is None or elapsed(last.since, now) < PATIENCE else PROBE_EVERY)
    if rollout.candidate is not None:
        waits.append(PROBE_EVERY if standing(s, rollout.candidate) else LOOK_AGAIN)
    return min((wait for wait in waits if wait is not None), default=None)
