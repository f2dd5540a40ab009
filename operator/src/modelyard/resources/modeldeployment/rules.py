"""The rules of a candidate's trial, and the picture that they look at: the first rule that applies answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from modelyard import names
from modelyard.decision import Answer, Manifest
from modelyard.resources.clock import begun, elapsed
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.candidate import (
    HUMAN,
    Judgement,
    manifest_fact,
    prediction_fact,
    refused,
    sample_of,
    silence,
    standing,
)
from modelyard.resources.modeldeployment.health import at_work, fault_of, last_progress, pods_of, restarts
from modelyard.resources.modeldeployment.pod import HTTP_PORT
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import Served, Situation, Version
from modelyard.resources.pods import Fault

START_LIMIT = 300.0
"""Seconds without any progress after which a candidate that is not available has failed."""
PROBE_LIMIT = 60.0
"""Seconds for which an available candidate may fail to answer: a Service needs a moment to reach it, and store and
network may be wrong once."""
CRASHES = 3
PATIENT = (
    names.SECRET_MISSING,
    names.UNSCHEDULABLE,
    names.QUOTA,
    *names.STORE_FOR_PEOPLE,
    names.STORE_UNAVAILABLE,
    names.DISRUPTED,
    names.KSERVE_SILENT,
    names.KSERVE_FAILED,
    names.IMAGE_PULL,
)
"""Not the version's fault: waited for without limit, the condition says what a human or the cluster has to do."""


@dataclass(frozen=True)
class Picture:
    """A candidate on trial since `since`, which has given no right answer since `suspect_since`."""

    s: Situation
    served: Served
    since: str
    suspect_since: str | None
    now: datetime

    @property
    def version(self) -> Version:
        """What is tried."""
        return self.served.version

    @cached_property
    def stands(self) -> bool:
        """True when its Deployment is complete and as it is wanted now."""
        return standing(self.s, self.served)

    @cached_property
    def pods(self) -> list[Manifest]:
        """Those of the template that is wanted now."""
        return pods_of(self.s, self.served.server, template_hash(fresh_template(self.s, self.served)))

    @cached_property
    def fault(self) -> Fault | None:
        """What keeps it from being available."""
        found = refused(self.s, self.served.server) or fault_of(self.s, self.served.server, self.pods)
        return found or silence(self.s, self.served, self.since, self.now)

    @property
    def late(self) -> bool:
        """True when nothing has gone on for too long."""
        return elapsed(max(self.since, last_progress(self.pods)), self.now) > START_LIMIT

    @property
    def published(self) -> Answer | None:
        """Its manifest, as the store tells."""
        return self.s.observed.fact(manifest_fact(self.version))

    @property
    def sample(self) -> dict[str, Any]:
        """One instance of its own; empty while it is not known or where there is none."""
        return sample_of(self.published)

    @property
    def answer(self) -> Answer | None:
        """What it answers to its sample."""
        return self.s.observed.fact(prediction_fact(self.s, self.served, self.sample))


def is_brought_to_its_node(p: Picture) -> Judgement | None:
    """Its files or its image are on the way -> it is waited for as long as they take."""
    if p.stands or p.fault is not None or not (busy := at_work(p.pods)):
        return None
    return Judgement("waiting", names.ROLLING_OUT, f"version {p.version.number} is starting: {busy}")


def has_not_come_up(p: Picture) -> Judgement | None:
    """It has run for too long without becoming available -> failed.

    Only what has run can have failed: without a pod it is the cluster that has not acted.
    """
    if p.stands or p.fault is not None or not (p.late and p.pods):
        return None
    limit = f"{START_LIMIT / 60:g} minutes"
    text = f"version {p.version.number} was not available within {limit}: see its server's log"
    return Judgement("failed", names.LOAD_FAILED, text)


def is_starting(p: Picture) -> Judgement | None:
    """It is not available yet, and nothing is wrong -> it is waited for."""
    if p.stands or p.fault is not None:
        return None
    return Judgement("waiting", names.ROLLING_OUT, f"version {p.version.number} is starting")


def lacks_what_others_give(p: Picture) -> Judgement | None:
    """It is not available, and that is not the version's fault -> it is waited for without limit."""
    if p.stands or p.fault is None or p.fault.reason not in PATIENT:
        return None
    human = p.fault.reason in HUMAN or (p.fault.reason == names.IMAGE_PULL and p.late)
    return Judgement("waiting", p.fault.reason, p.fault.message, stalled=human)


def has_crashed(p: Picture) -> Judgement | None:
    """Its server ends for good, crashes again and again or for too long -> failed."""
    if p.stands or p.fault is None or not (p.fault.final or p.late or restarts(p.pods) >= CRASHES):
        return None
    return Judgement("failed", p.fault.reason, p.fault.message)


def is_tried_again(p: Picture) -> Judgement | None:
    """Its server has crashed -> it is waited for while the kubelet starts it again."""
    return None if p.stands or p.fault is None else Judgement("waiting", p.fault.reason, p.fault.message)


def sample_is_not_read(p: Picture) -> Judgement | None:
    """It is available, and the store does not tell its sample -> it is waited for, and an older suspicion ends."""
    number, told = p.version.number, p.published
    if told is None:
        return Judgement("waiting", names.ROLLING_OUT, f"version {number} is available; its sample is read")
    if not told.failed or told.reason == names.CORRUPT:
        return None
    return Judgement("waiting", told.reason, f"the sample of version {number} cannot be read: {told.message}")


def has_no_sample(p: Picture) -> Judgement | None:
    """It is available, and its manifest is gone or names no sample -> failed, if that stays so."""
    if p.sample:
        return None
    told = p.published.message if p.published else ""
    cause = told or f"the manifest of version {p.version.number} is gone or names no sample"
    return _suspected(p, names.CORRUPT, names.CORRUPT, f"{cause}: make a new version")


def is_busy(p: Picture) -> Judgement | None:
    """It refuses its sample because of load -> asked again, and an older suspicion ends: the server is up."""
    if p.answer is None or p.answer.reason != names.SERVER_BUSY:
        return None
    text = f"version {p.version.number} is too busy to be tried and is asked again: {p.answer.message}"
    return Judgement("waiting", names.SERVER_BUSY, text)


def is_out_of_reach(p: Picture) -> Judgement | None:
    """It is ready, and the operator cannot reach it -> asked again without limit: that makes no version bad."""
    if p.answer is None or p.answer.reason != names.SERVER_UNREACHABLE:
        return None
    begin = max(p.since, last_progress(pods_of(p.s, p.served.server)))
    if elapsed(begin, p.now) <= PROBE_LIMIT:  # a Service needs a moment to reach new pods
        return Judgement("waiting", names.ROLLING_OUT, f"version {p.version.number} is available and is asked soon")
    text = (
        f"the server of version {p.version.number} is ready, but the operator cannot reach it ({p.answer.message}): "
        f"let pods of namespace {p.s.observed.platform.namespace} reach port {HTTP_PORT} of the pods with label "
        f"{names.LABEL_DEPLOYMENT}={p.s.name} in namespace {p.s.namespace} (NetworkPolicy, authorization or mTLS "
        "policy of a mesh); it is asked again until it answers, and gets no traffic before"
    )
    return Judgement("waiting", names.SERVER_UNREACHABLE, text, stalled=True)


def is_asked(p: Picture) -> Judgement | None:
    """It is available and has not answered yet -> its answer is waited for."""
    if p.answer is not None:
        return None
    text = f"version {p.version.number} is available and is asked for a prediction"
    return Judgement("waiting", names.ROLLING_OUT, text, suspect_since=p.suspect_since)


def answers_wrongly(p: Picture) -> Judgement | None:
    """It answers with a fault, or as another version -> failed, if that stays so."""
    wrong = "" if p.answer is None else fault_in(p.version, p.answer)
    return _suspected(p, names.PROBE_FAILED, names.ROLLING_OUT, wrong) if wrong else None


def answers_as_itself(p: Picture) -> Judgement | None:
    """It answers its sample as the version that it is -> passed, it gets the traffic."""
    text = f"version {p.version.number} answered as itself and gets the traffic"
    return Judgement("passed", names.ROLLING_OUT, text)


RULES: tuple[Callable[[Picture], Judgement | None], ...] = (
    is_brought_to_its_node,
    has_not_come_up,
    is_starting,
    lacks_what_others_give,
    has_crashed,
    is_tried_again,
    sample_is_not_read,
    has_no_sample,
    is_busy,
    is_out_of_reach,
    is_asked,
    answers_wrongly,
    answers_as_itself,
)
"""The first that applies answers; the first six are asked until its Deployment stands."""


def fault_in(version: Version, answer: Answer) -> str:
    """What is wrong with an answer; empty for a right one."""
    if answer.failed:
        return f"version {version.number} does not answer a prediction: {answer.message}"
    answered = str((answer.value or {}).get("version", ""))
    if answered != str(version.number):
        return f"version {version.number} answered as version {answered or '(none)'}"
    return ""


def _suspected(p: Picture, reason: str, at_first: str, text: str) -> Judgement:
    """What is wrong once may be right the next time; from the first wrong answer on, whoever watched meanwhile."""
    since = begun(p.suspect_since, p.now)
    if elapsed(since, p.now) > PROBE_LIMIT:
        return Judgement("failed", reason, text)
    return Judgement("waiting", at_first, text, suspect_since=since)
