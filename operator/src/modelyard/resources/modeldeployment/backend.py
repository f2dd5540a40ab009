"""What runs a version's server: KServe by an InferenceService, or a Deployment of our own; the rules are the same."""

from __future__ import annotations

from modelyard.decision import Manifest
from modelyard.resources.modeldeployment import deployment, inference_service
from modelyard.resources.modeldeployment.situation import Served, Server, Situation


def fresh_template(s: Situation, served: Served) -> Manifest:
    """What a server's pods come from, as this release of the operator makes it."""
    if s.backend == "kserve":
        return inference_service.fresh_template(s, served)
    return deployment.fresh_template(s, served)


def server(s: Situation, server: Server, inputs: str, template: Manifest) -> Manifest:
    """The object that runs a version."""
    if s.backend == "kserve":
        return inference_service.manifest(s, server, inputs, template)
    return deployment.manifest(s, server, inputs, template)
