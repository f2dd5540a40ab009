"""The rollout: candidate -> trial -> switch -> drain, read from the live selector of the stable Service.

    candidate ──answers as itself──▶ the Service is pointed at it ──selector seen──▶ serving
        │                                                                               │ the next one is seen selected
        └─fails─▶ failed          serving is down, draining is up: back at once ◀── draining ──30 s, and its successor
                                                                                        is seen available──▶ gone

A refresh goes the same way: the candidate is another server of the version that serves (refresh.py). All of this is
about servers, of which a version has one, and two while it is refreshed.

A step that removes something comes only after a reconcile in which its successor was seen: the status reports this
order, it does not command it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelyard.api.modeldeployment import CANDIDATE, DRAINING, FAILED, SERVING, STATES
from modelyard.resources.clock import begun, elapsed, stamp
from modelyard.resources.modeldeployment import refresh
from modelyard.resources.modeldeployment.address import unanswered
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.candidate import Judgement
from modelyard.resources.modeldeployment.health import answering, is_down
from modelyard.resources.modeldeployment.rules import RULES, Picture
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import Served, Server, Situation
from modelyard.resources.modeldeployment.target import Target
from modelyard.resources.rules import first

DRAIN = 30.0
"""Seconds for which a version is kept after traffic was seen to have left it, so that no request under way is lost."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A candidate that failed, and under which circumstances: under the same ones it is not tried again."""

    server: Server
    generation: int
    template: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """Who serves, who is on trial, who drains and who failed, after this reconcile."""

    serving: Server | None
    """As the stable Service was seen."""
    traffic: Server | None
    """As the stable Service is to be; another one than `serving` is believed once it is seen there."""
    unanswered: str = ""
    """What is wrong with the stable address of a Service that has never answered; empty once it has."""
    candidate: Served | None = None
    candidate_since: str | None = None
    trial: Judgement | None = None
    draining: tuple[tuple[Server, str], ...] = ()
    """Server and since when; the last one that served comes first."""
    kept: tuple[Server, ...] = ()
    """Servers that run and about which nothing can be decided now."""
    failure: Failure | None = None
    barred: bool = False
    """The wanted server is the failed one: a human has to change something."""
    refreshed: str | None = None
    """The value of the user's annotation that has been acted on."""


def on_trial(s: Situation, target: Target) -> Served | None:
    """The server to be started and probed, if any."""
    served = wanted_server(s, target)
    if served is None or served.server == s.serving:
        return None
    return None if is_barred(s, served) and not _is_asked_again(s, served) else served


def wanted_server(s: Situation, target: Target) -> Served | None:
    """The server that should have the traffic in the end: of another version, or the one that refreshes this one."""
    if target.number is None:
        return None
    if s.serving is None or target.number != s.serving.number:
        version = s.versions[target.number]
        there = [server for server, v in s.told() if server.number == target.number and v.state != FAILED]
        return Served(max(there, default=Server(target.number)), version)
    served = s.served
    if served is None or not refresh.wanted(s) or target.fault is not None:
        return served
    return Served(served.server.next, served.version)


def is_barred(s: Situation, served: Served) -> bool:
    """True when this server failed as it would be started again now: same spec, same pod template."""
    failure = last_failure(s)
    here = (served.server, s.generation, template_hash(fresh_template(s, served)))
    return failure is not None and (failure.server, failure.generation, failure.template) == here


def _is_asked_again(s: Situation, served: Served) -> bool:
    """A new value of the annotation is a human's word to try once more."""
    return s.serving is not None and served.number == s.serving.number and refresh.is_asked(s)


def last_failure(s: Situation) -> Failure | None:
    """The failure that the status remembers."""
    server, last = next(iter(s.told(FAILED)), (None, None))
    if server is None or last is None:
        return None
    return Failure(server, last.generation or 0, last.template or "", last.reason or "", last.message or "")


def advance(s: Situation, target: Target, now: datetime) -> Rollout:
    """One step, from levels alone: the same picture gives the same step, however often and whenever it is asked."""
    served = on_trial(s, target)
    draining = _draining(s, now)
    if served is not None:
        return _try(s, served, draining, now)
    wanted, failure = wanted_server(s, target), last_failure(s)
    if wanted is not None and wanted.server == s.serving and not _failed_to_refresh(s, failure):
        failure = None
    barred = failure is not None and (_failed_to_refresh(s, failure) or failure.server.number == target.number)
    return Rollout(
        s.serving,
        _traffic(s, draining),
        unanswered(s, now),
        draining=draining,
        kept=_kept(s, draining, target.held),
        failure=failure,
        barred=barred,
        refreshed=_acted_on(s),
    )


def _failed_to_refresh(s: Situation, failure: Failure | None) -> bool:
    """True while the serving server is behind and the one that should take over from it failed as it would be now."""
    served = s.served
    if failure is None or served is None or failure.server != served.server.next or not refresh.behind(s):
        return False
    return is_barred(s, Served(served.server.next, served.version))


def _acted_on(s: Situation) -> str | None:
    """The annotation's value once the serving server is as new; until then the one before."""
    done = refresh.is_asked(s) and refresh.is_known(s) and not refresh.behind(s)
    return refresh.asked_value(s) if done else s.last.refreshed


def drain_left(rollout: Rollout, now: datetime) -> float | None:
    """Seconds until the next version may go."""
    left = [DRAIN - elapsed(since, now) for _, since in rollout.draining]
    return min((max(1.0, seconds) for seconds in left if seconds > 0), default=None)


def _try(s: Situation, served: Served, draining: tuple[tuple[Server, str], ...], now: datetime) -> Rollout:
    server, (since, suspect_since) = served.server, _since(s, served.server, now)
    trial = first(RULES, Picture(s, served, since, suspect_since, now))
    others = tuple(entry for entry in draining if entry[0] != server)
    passed, failed = trial.state == "passed", trial.state == "failed"
    ended = Failure(server, s.generation, template_hash(fresh_template(s, served)), trial.reason, trial.message)
    return Rollout(
        s.serving,
        traffic=server if passed else _traffic(s, others),
        unanswered=unanswered(s, now),
        candidate=None if failed else served,
        candidate_since=None if failed else since,
        trial=None if failed else trial,
        draining=others,
        kept=tuple(other for other in _kept(s, others) if other != server),
        failure=ended if failed else last_failure(s),
        barred=failed,
        refreshed=refresh.asked_value(s) if failed and _is_asked_again(s, served) else s.last.refreshed,
    )


def _since(s: Situation, server: Server, now: datetime) -> tuple[str, str | None]:
    """When this trial began, and since when it is suspect; another spec begins another trial."""
    last = s.last.of(str(server))
    if last is None or last.state != CANDIDATE or last.generation != s.generation:
        return stamp(now), None
    return begun(last.since, now), last.suspect_since


def _draining(s: Situation, now: datetime) -> tuple[tuple[Server, str], ...]:
    """Who had the traffic before: from the moment at which another was seen to have it, until that one is up, too."""
    if s.serving is None:
        return ()
    told = [(server, v) for server, v in s.told(SERVING, DRAINING) if server != s.serving]
    since = {server: begun(v.since, now) if v.state == DRAINING else stamp(now) for server, v in told}
    safe = answering(s, s.serving) > 0
    return tuple(
        sorted(
            ((server, at) for server, at in since.items() if not safe or elapsed(at, now) < DRAIN),
            key=lambda entry: entry[1],
            reverse=True,
        )
    )


def _traffic(s: Situation, draining: tuple[tuple[Server, str], ...]) -> Server | None:
    """Back at once to a server that still runs when the one that serves is seen to be down."""
    if s.serving is None or not is_down(s, s.serving):
        return s.serving
    return next((server for server, _ in draining if answering(s, server) > 0), s.serving)


def _kept(s: Situation, draining: tuple[tuple[Server, str], ...], held: int | None = None) -> tuple[Server, ...]:
    """What another release of the operator started, and a candidate that only waits for the cluster."""
    done = {s.serving, *(server for server, _ in draining)}
    return tuple(
        server
        for server, v in s.told()
        if server not in done and (v.state not in STATES or (v.state == CANDIDATE and v.number == held))
    )
