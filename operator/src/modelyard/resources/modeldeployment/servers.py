"""The children of a ModelDeployment: the servers that should be, and the stable Service."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard import names
from modelyard.decision import Child, Manifest
from modelyard.resources.modeldeployment.rollout import Rollout
from modelyard.resources.modeldeployment.server import (
    deployment,
    fresh_template,
    inputs_hash,
    pinned_template,
    service,
)
from modelyard.resources.modeldeployment.situation import Situation
from modelyard.resources.modeldeployment.stable_service import stable_service


def children(s: Situation, rollout: Rollout) -> Iterator[Child]:
    """Candidate, serving and draining servers; whatever is not listed goes."""
    if rollout.candidate is not None:
        yield from _candidate(s, rollout.candidate)
    if rollout.serving is not None:
        yield from _serving(s, rollout.serving, follow_spec=rollout.candidate is None)
    if rollout.previous is not None and rollout.previous != rollout.serving:
        yield from _kept(s, rollout.previous)


def as_they_are(s_children: tuple[Manifest, ...]) -> tuple[Child, ...]:
    """All that exists, untouched: what serves goes on while the spec cannot be understood or the object goes."""
    return tuple(Child(child, "keep") for child in s_children)


def _candidate(s: Situation, number: int) -> Iterator[Child]:
    version = s.versions[number]
    yield Child(deployment(s, number, inputs_hash(s, version), fresh_template(s, version)))
    yield Child(service(s, s.server_name(number), number))


def _serving(s: Situation, number: int, *, follow_spec: bool) -> Iterator[Child]:
    server = _serving_deployment(s, number, follow_spec=follow_spec)
    if server is not None:
        yield server
    yield Child(service(s, s.server_name(number), number))
    yield Child(stable_service(s, number))


def _serving_deployment(s: Situation, number: int, *, follow_spec: bool) -> Child | None:
    """Pods as they went live unless the user changed what decides them; replicas always as wanted.

    Nothing is rolled out from a version that is not Ready: its new pods might not come up.
    """
    live, version = s.deployment(number), s.versions.get(number)
    pinned, inputs = pinned_template(live), _live_inputs(live)
    wanted = inputs if version is None else inputs_hash(s, version)
    changing = follow_spec and version is not None and version.ready
    if pinned is not None and (inputs == wanted or not changing):
        return Child(deployment(s, number, inputs, pinned))
    if version is not None:
        return Child(deployment(s, number, wanted, fresh_template(s, version)))
    return None if live is None else Child(live, "keep")


def _kept(s: Situation, number: int) -> Iterator[Child]:
    name = s.server_name(number)
    found = (s.observed.child(kind, name) for kind in ("Deployment", "Service"))
    yield from (Child(child, "keep") for child in found if child is not None)


def _live_inputs(live: Manifest | None) -> str:
    return str((live or {}).get("metadata", {}).get("annotations", {}).get(names.ANNOTATION_INPUTS, ""))
