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
from modelyard.resources.clock import elapsed
from modelyard.resources.modeldeployment.backend import fresh_template
from modelyard.resources.modeldeployment.health import (
    HINTS,
    settled,
)
from modelyard.resources.modeldeployment.server import template_hash
from modelyard.resources.modeldeployment.situation import KINDS, Served, Server, Situation, Version
from modelyard.resources.modeldeployment.stable_service import server_url
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import why_child_refused

SILENCE = 30.0
"""Seconds after which a controller of KServe that has not acted is named."""
PROBE_AGE = 4.0
MANIFEST_AGE = 3600.0
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
    sample = sample_of(s.observed.fact(manifest_fact(served.version)))
    if sample:
        yield prediction_fact(s, served, sample)


def standing(s: Situation, served: Served) -> bool:
    """True when the candidate's Deployment is complete and of the template that is wanted now."""
    going = "deletionTimestamp" in (s.server(served.server) or {}).get("metadata", {})
    return not going and settled(s.deployment(served.server), s.replicas, template_hash(fresh_template(s, served)))


def silence(s: Situation, served: Served, since: str, now: datetime) -> Fault | None:
    """KServe has not made the wanted Deployment, and says nothing about it."""
    live = s.deployment(served.server)
    acted = live is not None and template_hash(live["spec"]["template"]) == template_hash(fresh_template(s, served))
    if s.backend != "kserve" or acted or elapsed(since, now) <= SILENCE:
        return None
    name = s.server_name(served.server)
    what = "has not acted on" if s.server(served.server) is not None else "may keep the operator from making"
    text = f"KServe's controller {what} InferenceService {name}: {KSERVE_REMEDY}"
    return Fault(names.KSERVE_SILENT, text, final=False)


def refused(s: Situation, server: Server) -> Fault | None:
    """What the API server, or KServe's webhook, refused of the candidate."""
    name = s.server_name(server)
    for kind in (*KINDS.values(), "Service"):
        message = s.observed.refused.get((kind, name))
        if message and kind == "InferenceService" and names.WEBHOOK_SILENT in message:
            text = f"KServe's webhook does not answer, so InferenceService {name} cannot be made ({message})"
            return Fault(names.KSERVE_SILENT, f"{text}: {KSERVE_REMEDY}", final=False)
        if message:
            return Fault(names.QUOTA, why_child_refused(kind, name, message, HINTS), final=False)
    return None


def sample_of(answer: Answer | None) -> dict[str, Any]:
    """One instance of the version's own; empty if the manifest is not known or has none."""
    value = None if answer is None else answer.value
    sample = value["manifest"].get("info", {}).get("sample") if value else None
    return sample if isinstance(sample, dict) else {}


def _prefix(version: Version) -> str:
    return layout.split_uri(layout.folder_uri(version.spec.uri))[1]
