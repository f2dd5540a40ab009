"""The rollout: candidate -> trial -> switch -> drain, read from the live selector of the stable Service.

    candidate ──answers as itself──▶ the Service is pointed at it ──selector seen──▶ serving
        │                                                                               │ the next one is seen selected
        └─fails─▶ failed          serving is down, draining is up: back at once ◀── draining ──30 s, and its successor
                                                                                        is seen available──▶ gone

A step that removes something comes only after a reconcile in which its successor was seen: the status reports this
order, it does not command it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelyard.api.modeldeployment import CANDIDATE, DRAINING, FAILED, SERVING, STATES
from modelyard.resources.clock import begun, elapsed, stamp
from modelyard.resources.modeldeployment.address import unanswered
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.candidate import Judgement, judge_candidate
from modelyard.resources.modeldeployment.health import answering, is_down
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import Situation, Version
from modelyard.resources.modeldeployment.target import Target

DRAIN = 30.0
"""Seconds for which a version is kept after traffic was seen to have left it, so that no request under way is lost."""


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
    """Who serves, who is on trial, who drains and who failed, after this reconcile."""

    serving: int | None
    """As the stable Service was seen."""
    traffic: int | None
    """As the stable Service is to be; another one than `serving` is believed once it is seen there."""
    unanswered: str = ""
    """What is wrong with the stable address of a Service that has never answered; empty once it has."""
    candidate: int | None = None
    candidate_since: str | None = None
    trial: Judgement | None = None
    draining: tuple[tuple[int, str], ...] = ()
    """Version and since when; the last one that served comes first."""
    kept: tuple[int, ...] = ()
    """Versions that run and about which nothing can be decided now."""
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
    last = s.last.first(FAILED)
    if last is None:
        return None
    return Failure(last.number, last.generation or 0, last.template or "", last.reason or "", last.message or "")


def advance(s: Situation, target: Target, now: datetime) -> Rollout:
    """One step, from levels alone: the same picture gives the same step, however often and whenever it is asked."""
    version = on_trial(s, target)
    draining = _draining(s, now)
    if version is not None:
        return _try(s, version, draining, now)
    failure = None if target.number is not None and target.number == s.serving else last_failure(s)
    return Rollout(
        s.serving,
        _traffic(s, draining),
        unanswered(s, now),
        draining=draining,
        kept=_kept(s, draining, target.held),
        failure=failure,
        barred=failure is not None and failure.version == target.number,
    )


def drain_left(rollout: Rollout, now: datetime) -> float | None:
    """Seconds until the next version may go."""
    left = [DRAIN - elapsed(since, now) for _, since in rollout.draining]
    return min((max(1.0, seconds) for seconds in left if seconds > 0), default=None)


def _try(s: Situation, version: Version, draining: tuple[tuple[int, str], ...], now: datetime) -> Rollout:
    since, suspect_since = _since(s, version, now)
    trial = judge_candidate(s, version, since, suspect_since, now)
    others = tuple(entry for entry in draining if entry[0] != version.number)
    traffic = version.number if trial.state == "passed" else _traffic(s, others)
    kept = tuple(number for number in _kept(s, others) if number != version.number)
    if trial.state == "failed":
        template = template_hash(fresh_template(s, version))
        failure = Failure(version.number, s.generation, template, trial.reason, trial.message)
        return Rollout(s.serving, traffic, unanswered(s, now), draining=others, kept=kept, failure=failure, barred=True)
    return Rollout(s.serving, traffic, unanswered(s, now), version.number, since, trial, others, kept, last_failure(s))


def _since(s: Situation, version: Version, now: datetime) -> tuple[str, str | None]:
    """When this trial began, and since when it is suspect; another spec begins another trial."""
    last = s.last.of(version.number)
    if last is None or last.state != CANDIDATE or last.generation != s.generation:
        return stamp(now), None
    return begun(last.since, now), last.suspect_since


def _draining(s: Situation, now: datetime) -> tuple[tuple[int, str], ...]:
    """Who had the traffic before: from the moment at which another was seen to have it, until that one is up, too."""
    if s.serving is None:
        return ()
    told = [v for v in s.last.versions if v.state in (SERVING, DRAINING) and v.number != s.serving]
    since = {v.number: begun(v.since, now) if v.state == DRAINING else stamp(now) for v in told}
    safe = answering(s, s.serving) > 0
    return tuple(
        sorted(
            ((n, at) for n, at in since.items() if not safe or elapsed(at, now) < DRAIN),
            key=lambda entry: entry[1],
            reverse=True,
        )
    )


def _traffic(s: Situation, draining: tuple[tuple[int, str], ...]) -> int | None:
    """Back at once to a version that still runs when the one that serves is seen to be down."""
    if s.serving is None or not is_down(s, s.serving):
        return s.serving
    return next((number for number, _ in draining if answering(s, number) > 0), s.serving)


def _kept(s: Situation, draining: tuple[tuple[int, str], ...], held: int | None = None) -> tuple[int, ...]:
    """What another release of the operator started, and a candidate that only waits for the cluster."""
    done = {s.serving, *(number for number, _ in draining)}
    return tuple(
        v.number
        for v in s.last.versions
        if v.number not in done and (v.state not in STATES or (v.state == CANDIDATE and v.number == held))
    )
