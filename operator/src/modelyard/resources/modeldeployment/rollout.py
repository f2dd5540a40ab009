"""The rollout: candidate -> trial -> switch. The old version goes only some time after traffic left it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelyard.resources.clock import begun, elapsed, stamp
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.candidate import Judgement, judge_candidate
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import Situation, Version
from modelyard.resources.modeldeployment.target import Target

DRAIN = 30.0
"""Seconds for which the version before the switch is kept, so that no request under way is lost."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate that failed, and under which circumstances: under the same ones it is not tried again."""

    version: int
    generation: int
    template: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """Who serves, who is on trial, who drains and who failed, after this pass."""

    serving: int | None
    candidate: int | None = None
    candidate_since: str | None = None
    trial: Judgement | None = None
    previous: int | None = None
    switched_at: str | None = None
    failure: Failure | None = None
    barred: bool = False
    """The wanted version is the failed one: a human has to change something."""


def on_trial(s: Situation, target: Target) -> Version | None:
    """The version to be started and probed, if any."""
    if target.number is None or target.number == s.serving:
        return None
    version = s.versions[target.number]
    return None if is_barred(s, version) else version


def is_barred(s: Situation, version: Version) -> bool:
    """True when this version failed as it would be started again now: same spec, same pod template."""
    failure = last_failure(s)
    here = (version.number, s.generation, template_hash(fresh_template(s, version)))
    return failure is not None and (failure.version, failure.generation, failure.template) == here


def last_failure(s: Situation) -> Failure | None:
    """The failure that the status remembers."""
    last = s.last
    if last.failed is None:
        return None
    return Failure(
        last.failed,
        last.failed_generation or 0,
        last.failed_template or "",
        last.failed_reason or "",
        last.failed_message or "",
    )


def advance(s: Situation, target: Target, now: datetime) -> Rollout:
    """One step, from levels alone: the same picture gives the same step, however often and whenever it is asked."""
    version = on_trial(s, target)
    if version is not None:
        return _try(s, version, now)
    previous, switched_at = _draining(s, now)
    failure = None if target.number is not None and target.number == s.serving else last_failure(s)
    barred = failure is not None and failure.version == target.number
    return Rollout(s.serving, previous=previous, switched_at=switched_at, failure=failure, barred=barred)


def drain_left(rollout: Rollout, now: datetime) -> float | None:
    """Seconds until the version before may go."""
    if rollout.previous is None:
        return None
    return max(1.0, DRAIN - elapsed(rollout.switched_at or "", now))


def _try(s: Situation, version: Version, now: datetime) -> Rollout:
    since, doubted = _since(s, version, now)
    trial = judge_candidate(s, version, since, doubted, now)
    if trial.state == "passed":
        return Rollout(version.number, previous=s.serving, switched_at=stamp(now) if s.serving else None)
    previous, switched_at = _draining(s, now)
    if previous == version.number:
        previous, switched_at = None, None
    if trial.state == "failed":
        template = template_hash(fresh_template(s, version))
        failure = Failure(version.number, s.generation, template, trial.reason, trial.message)
        return Rollout(s.serving, previous=previous, switched_at=switched_at, failure=failure, barred=True)
    return Rollout(
        s.serving, version.number, since, trial, previous=previous, switched_at=switched_at, failure=last_failure(s)
    )


def _since(s: Situation, version: Version, now: datetime) -> tuple[str, str | None]:
    """When this trial began, and since when it is in doubt; another spec begins another trial."""
    same = s.last.candidate == version.number and s.last.observed_generation == s.generation
    return begun(s.last.candidate_since if same else None, now), s.last.suspect_since if same else None


def _draining(s: Situation, now: datetime) -> tuple[int | None, str | None]:
    last = s.last
    switched_at = begun(last.switched_at, now)
    if last.previous is None or elapsed(switched_at, now) >= DRAIN:
        return None, None
    return last.previous, switched_at
