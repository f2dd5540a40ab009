"""The stable address: what it is, and whether a new one has been seen to answer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from modelyard.api.modeldeployment import SERVING
from modelyard.decision import Fact
from modelyard.resources.clock import elapsed
from modelyard.resources.modeldeployment.health import answering
from modelyard.resources.modeldeployment.situation import Situation
from modelyard.resources.modeldeployment.stable_service import url

ADDRESS_AGE = 0.5
PATIENCE = 60.0
"""Seconds after which an address that the operator cannot reach is told with what may keep it out."""


def address_fact(s: Situation) -> Fact:
    """Does anything that is ready answer at the stable address?"""
    return Fact.of("address", url=url(s), max_age=ADDRESS_AGE)


def address_needs(s: Situation) -> Iterator[Fact]:
    """Asked until the address has answered once, and only while something could answer there."""
    if s.serving is not None and s.selected == s.serving and not _confirmed(s) and answering(s, s.serving) > 0:
        yield address_fact(s)


def unanswered(s: Situation, now: datetime) -> str:
    """Why the address of the serving version is not believed to answer; empty when it is.

    A Service that is new takes a moment until nodes and DNS know it; one that has answered keeps its address when its
    selector moves.
    """
    if s.serving is None:
        return ""
    if s.selected != s.serving:
        return f"the stable Service does not select version {s.serving.number} yet"
    answer = s.observed.fact(address_fact(s))
    if _confirmed(s) or (answer is not None and not answer.failed):
        return ""
    last = s.last.of(str(s.serving))
    if answer is None or last is None or elapsed(last.since, now) <= PATIENCE:
        return "the stable address has not answered yet"
    return (
        f"the operator cannot reach the stable address ({answer.message}): let pods of namespace "
        f"{s.observed.platform.namespace} reach it (NetworkPolicy, the policies of a mesh); it is asked again"
    )


def _confirmed(s: Situation) -> bool:
    """True when the status says that this Service has carried traffic: then its address has answered."""
    last = s.last.first(SERVING)
    return last is not None and last.weight > 0
