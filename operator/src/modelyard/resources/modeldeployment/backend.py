"""What runs a version's server: KServe by an InferenceService, or a Deployment of our own; the rules are the same."""

from __future__ import annotations

from modelyard.decision import Manifest
from modelyard.resources.modeldeployment import deployment, inference_service
from modelyard.resources.modeldeployment.situation import Situation, Version


def fresh_template(s: Situation, version: Version) -> Manifest:
    """What a version's pods come from, as this release of the operator makes it."""
    if s.backend == "kserve":
        return inference_service.fresh_template(s, version)
    return deployment.fresh_template(s, version)


def server(s: Situation, number: int, inputs: str, template: Manifest) -> Manifest:
    """The object that runs a version."""
    if s.backend == "kserve":
        return inference_service.manifest(s, number, inputs, template)
    return deployment.manifest(s, number, inputs, template)
