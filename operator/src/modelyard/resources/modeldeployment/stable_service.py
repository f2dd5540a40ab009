"""The stable address: one Service whose selector is the only thing that moves when the version changes."""

from __future__ import annotations

from modelyard.decision import Manifest
from modelyard.resources.modeldeployment.server import service
from modelyard.resources.modeldeployment.situation import Server, Situation


def url(s: Situation) -> str:
    """The address that clients keep."""
    return f"http://{s.name}.{s.namespace}.svc.{s.observed.platform.cluster_domain}"


def server_url(s: Situation, server: Server) -> str:
    """The address of one server, for the probe."""
    return f"http://{s.server_name(server)}.{s.namespace}.svc.{s.observed.platform.cluster_domain}"


def stable_service(s: Situation, serving: Server) -> Manifest:
    """Traffic goes to the serving version; this holds without the operator."""
    return service(s, s.name, serving)
