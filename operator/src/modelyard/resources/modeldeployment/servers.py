"""The children of a ModelDeployment: the servers that should be, and the stable Service."""

from __future__ import annotations

from collections.abc import Iterator

from modelyard import names
from modelyard.decision import Child, Manifest
from modelyard.resources.modeldeployment.backend import fresh_template, server
from modelyard.resources.modeldeployment.health import stands
from modelyard.resources.modeldeployment.rollout import Rollout
from modelyard.resources.modeldeployment.server import inputs_hash, pinned_template, service
from modelyard.resources.modeldeployment.situation import KINDS, Served, Server, Situation
from modelyard.resources.modeldeployment.stable_service import stable_service


def children(s: Situation, rollout: Rollout) -> Iterator[Child]:
    """Candidate, serving and draining servers, and the stable Service; whatever is not listed goes."""
    if rollout.candidate is not None:
        yield from _candidate(s, rollout.candidate)
    if rollout.serving is not None:
        yield from _serving(s, rollout.serving, follow_spec=rollout.candidate is None)
    for draining in (*(of for of, _ in rollout.draining), *rollout.kept):
        yield from _kept(s, draining)
    if rollout.traffic is not None:
        yield Child(stable_service(s, rollout.traffic))


def as_they_are(s_children: tuple[Manifest, ...]) -> tuple[Child, ...]:
    """All that exists, untouched: what serves goes on while the spec cannot be understood or the object goes."""
    return tuple(Child(child, "keep") for child in s_children)


def _candidate(s: Situation, served: Served) -> Iterator[Child]:
    yield Child(server(s, served.server, inputs_hash(s, served.version), fresh_template(s, served)))
    yield Child(service(s, s.server_name(served.server), served.server))


def _serving(s: Situation, of: Server, *, follow_spec: bool) -> Iterator[Child]:
    wanted = _serving_server(s, of, follow_spec=follow_spec)
    if wanted is not None:
        yield wanted
    before = s.left_behind(of)
    if before is not None and not stands(s, of):
        yield Child(before, "keep")  # it answers until its successor does
    yield Child(service(s, s.server_name(of), of))


def _serving_server(s: Situation, of: Server, *, follow_spec: bool) -> Child | None:
    """Pods as they went live unless the user changed what decides them; replicas always as wanted.

    Nothing is rolled out from a version that is not Ready: its new pods might not come up.
    """
    live, version = s.server(of), s.versions.get(of.number)
    if s.blocked:  # its API seems to be gone: what is seen of it stays
        return None if live is None else Child(live, "keep")
    pinned, inputs = pinned_template(live), _live_inputs(live)
    wanted = inputs if version is None else inputs_hash(s, version)
    changing = follow_spec and version is not None and version.ready and s.barrier is None
    if pinned is not None and (inputs == wanted or not changing):
        return Child(server(s, of, inputs, pinned))
    if version is not None and s.barrier is None:
        return Child(server(s, of, wanted, fresh_template(s, Served(of, version))))
    return None if live is None else Child(live, "keep")


def _kept(s: Situation, of: Server) -> Iterator[Child]:
    name = s.server_name(of)
    found = (s.observed.child(kind, name) for kind in (*KINDS.values(), "Service"))
    yield from (Child(child, "keep") for child in found if child is not None)


def _live_inputs(live: Manifest | None) -> str:
    return str((live or {}).get("metadata", {}).get("annotations", {}).get(names.ANNOTATION_INPUTS, ""))
