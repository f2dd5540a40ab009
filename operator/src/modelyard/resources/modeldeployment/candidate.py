"""The candidate on trial: it gets traffic only after its whole Deployment stood and it answered as itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Answer, Fact
from modelyard.resources.clock import begun, elapsed
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.health import (
    HINTS,
    at_work,
    fault_of,
    last_progress,
    pods_of,
    restarts,
    settled,
)
from modelyard.resources.modeldeployment.pod import HTTP_PORT
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import KINDS, Served, Server, Situation, Version
from modelyard.resources.modeldeployment.stable_service import server_url
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import why_child_refused

START_LIMIT = 300.0
"""Seconds without any progress after which a candidate that is not available has failed."""
PROBE_LIMIT = 60.0
"""Seconds for which an available candidate may fail to answer: a Service needs a moment to reach it, and store and
network may be wrong once."""
CRASHES = 3
SILENCE = 30.0
"""Seconds after which a controller of KServe that has not acted is named."""
PROBE_AGE = 4.0
MANIFEST_AGE = 3600.0
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
HUMAN = (names.SECRET_MISSING, names.QUOTA, *names.STORE_FOR_PEOPLE, names.KSERVE_SILENT, names.KSERVE_FAILED)


KSERVE_REMEDY = (
    "see whether the pods of Deployment kserve-controller-manager run (KServe's own namespace is kserve), or set "
    "spec.serve.backend: deployment; it goes on by itself"
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """How the trial stands."""

    state: Literal["waiting", "passed", "failed"]
    reason: str
    message: str
    stalled: bool = False
    suspect_since: str | None = None
    """Since when a candidate that stands has given no right answer."""


def manifest_fact(version: Version) -> Fact:
    """The version's own manifest, and no other: it never changes, and holds the sample."""
    return Fact.of("manifest", prefix=_prefix(version), digest=version.spec.digest, max_age=MANIFEST_AGE)


def prediction_fact(s: Situation, served: Served, sample: dict[str, Any]) -> Fact:
    """Ask the candidate, through its own Service, for a prediction of the sample."""
    url = server_url(s, served.server)
    return Fact.of(
        "prediction",
        url=url,
        model=served.version.spec.model,
        version=str(served.number),
        sample=json.dumps(sample, sort_keys=True),
        max_age=PROBE_AGE,
    )


def trial_needs(s: Situation, served: Served) -> Iterator[Fact]:
    """The facts of the trial; nothing is asked before the Deployment stands."""
    if not standing(s, served):
        return
    yield manifest_fact(served.version)
    sample = _sample(s.observed.fact(manifest_fact(served.version)))
    if sample:
        yield prediction_fact(s, served, sample)


def standing(s: Situation, served: Served) -> bool:
    """True when the candidate's Deployment is complete and of the template that is wanted now."""
    going = "deletionTimestamp" in (s.server(served.server) or {}).get("metadata", {})
    return not going and settled(s.deployment(served.server), s.replicas, template_hash(fresh_template(s, served)))


def judge_candidate(s: Situation, served: Served, since: str, suspect_since: str | None, now: datetime) -> Judgement:
    """Where the trial of a candidate stands that began at `since`, wrong since `suspect_since`."""
    if standing(s, served):
        return _probe(s, served, (since, suspect_since), now)
    return _start(s, served, since, now)


def _start(s: Situation, served: Served, since: str, now: datetime) -> Judgement:
    version, server = served.version, served.server
    pods = pods_of(s, server, template_hash(fresh_template(s, served)))
    fault = _refused(s, server) or fault_of(s, server, pods) or _silence(s, served, since, now)
    late = elapsed(max(since, last_progress(pods)), now) > START_LIMIT
    if fault is None and (busy := at_work(pods)):
        return Judgement("waiting", names.ROLLING_OUT, f"version {version.number} is starting: {busy}")
    if fault is None:
        # Only what has run can have failed: without a pod it is the cluster that has not acted.
        text = f"version {version.number} was not available within {START_LIMIT / 60:g} minutes: see its server's log"
        return Judgement("failed", names.LOAD_FAILED, text) if late and pods else _starting(version)
    if fault.reason in PATIENT:
        human = fault.reason in HUMAN or (fault.reason == names.IMAGE_PULL and late)
        return Judgement("waiting", fault.reason, fault.message, stalled=human)
    if fault.final or late or restarts(pods) >= CRASHES:
        return Judgement("failed", fault.reason, fault.message)
    return Judgement("waiting", fault.reason, fault.message)


def _silence(s: Situation, served: Served, since: str, now: datetime) -> Fault | None:
    """KServe has not made the wanted Deployment, and says nothing about it."""
    live = s.deployment(served.server)
    acted = live is not None and template_hash(live["spec"]["template"]) == template_hash(fresh_template(s, served))
    if s.backend != "kserve" or acted or elapsed(since, now) <= SILENCE:
        return None
    name = s.server_name(served.server)
    what = "has not acted on" if s.server(served.server) is not None else "may keep the operator from making"
    text = f"KServe's controller {what} InferenceService {name}: {KSERVE_REMEDY}"
    return Fault(names.KSERVE_SILENT, text, final=False)


def _starting(version: Version) -> Judgement:
    return Judgement("waiting", names.ROLLING_OUT, f"version {version.number} is starting")


def _refused(s: Situation, server: Server) -> Fault | None:
    name = s.server_name(server)
    for kind in (*KINDS.values(), "Service"):
        message = s.observed.refused.get((kind, name))
        if message and kind == "InferenceService" and names.WEBHOOK_SILENT in message:
            text = f"KServe's webhook does not answer, so InferenceService {name} cannot be made ({message})"
            return Fault(names.KSERVE_SILENT, f"{text}: {KSERVE_REMEDY}", final=False)
        if message:
            return Fault(names.QUOTA, why_child_refused(kind, name, message, HINTS), final=False)
    return None


def _probe(s: Situation, served: Served, times: tuple[str, str | None], now: datetime) -> Judgement:
    version, (since, suspect_since) = served.version, times
    published = s.observed.fact(manifest_fact(version))
    if published is None or (published.failed and published.reason != names.CORRUPT):
        return _unknown_sample(version, published)
    sample = _sample(published)
    if not sample:
        cause = published.message or f"the manifest of version {version.number} is gone or names no sample"
        text = f"{cause}: make a new version"
        return _suspected(names.CORRUPT, names.CORRUPT, text, suspect_since, now)
    answer = s.observed.fact(prediction_fact(s, served, sample))
    if answer is not None and answer.reason == names.SERVER_BUSY:
        return _busy(version, answer)
    if answer is not None and answer.reason == names.SERVER_UNREACHABLE:
        return _unreachable(s, served, since, answer, now)
    wrong = _wrong(version, answer)
    if wrong is None:
        text = f"version {version.number} answered as itself and gets the traffic"
        return Judgement("passed", names.ROLLING_OUT, text)
    if not wrong:
        text = f"version {version.number} is available and is asked for a prediction"
        return Judgement("waiting", names.ROLLING_OUT, text, suspect_since=suspect_since)
    return _suspected(names.PROBE_FAILED, names.ROLLING_OUT, wrong, suspect_since, now)


def _suspected(reason: str, at_first: str, text: str, suspect_since: str | None, now: datetime) -> Judgement:
    """What is wrong once may be right the next time; from the first wrong answer on, whoever watched meanwhile."""
    since = begun(suspect_since, now)
    if elapsed(since, now) > PROBE_LIMIT:
        return Judgement("failed", reason, text)
    return Judgement("waiting", at_first, text, suspect_since=since)


def _unknown_sample(version: Version, answer: Answer | None) -> Judgement:
    """Nobody asks the candidate meanwhile, so an older suspicion ends."""
    if answer is None:
        return Judgement("waiting", names.ROLLING_OUT, f"version {version.number} is available; its sample is read")
    text = f"the sample of version {version.number} cannot be read: {answer.message}"
    return Judgement("waiting", answer.reason, text)


def _busy(version: Version, answer: Answer) -> Judgement:
    """Refused because of load is no wrong answer, and ends an older suspicion: the server is up."""
    text = f"version {version.number} is too busy to be tried and is asked again: {answer.message}"
    return Judgement("waiting", names.SERVER_BUSY, text)


def _unreachable(s: Situation, served: Served, since: str, answer: Answer, now: datetime) -> Judgement:
    """The kubelet says that the server is ready: what the operator cannot reach is no bad version."""
    version, begin = served.version, max(since, last_progress(pods_of(s, served.server)))
    if elapsed(begin, now) <= PROBE_LIMIT:  # a Service needs a moment to reach new pods
        return Judgement("waiting", names.ROLLING_OUT, f"version {version.number} is available and is asked soon")
    text = (
        f"the server of version {version.number} is ready, but the operator cannot reach it ({answer.message}): let "
        f"pods of namespace {s.observed.platform.namespace} reach port {HTTP_PORT} of the pods with label "
        f"{names.LABEL_DEPLOYMENT}={s.name} in namespace {s.namespace} (NetworkPolicy, authorization or mTLS policy of "
        "a mesh); it is asked again until it answers, and gets no traffic before"
    )
    return Judgement("waiting", names.SERVER_UNREACHABLE, text, stalled=True)


def _wrong(version: Version, answer: Answer | None) -> str | None:
    """None for a right answer, else what was wrong with it; empty when there is none yet."""
    if answer is None:
        return ""
    if answer.failed:
        return f"version {version.number} does not answer a prediction: {answer.message}"
    answered = str((answer.value or {}).get("version", ""))
    if answered != str(version.number):
        return f"version {version.number} answered as version {answered or '(none)'}"
    return None


def _sample(answer: Answer | None) -> dict[str, Any]:
    """One instance of the version's own; empty if the manifest is not known or has none."""
    value = None if answer is None else answer.value
    sample = value["manifest"].get("info", {}).get("sample") if value else None
    return sample if isinstance(sample, dict) else {}


def _prefix(version: Version) -> str:
    return layout.split_uri(layout.folder_uri(version.spec.uri))[1]
