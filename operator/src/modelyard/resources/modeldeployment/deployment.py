"""One version's server without KServe: a Deployment of our own."""

from __future__ import annotations

from modelyard.decision import Manifest
from modelyard.resources.modeldeployment.pod import pod_template
from modelyard.resources.modeldeployment.server import ROLL, labels, pinned, selector, signed, storage_uri
from modelyard.resources.modeldeployment.situation import Served, Server, Situation


def fresh_template(s: Situation, served: Served) -> Manifest:
    """The pod template as this release of the operator makes it."""
    version = served.version
    template = pod_template(
        model=version.spec.model,
        number=version.number,
        uri=storage_uri(version),
        namespace=s.namespace,
        resources=s.spec.serve.resources,
        platform=s.observed.platform,
        added=s.added,
    )
    return signed(s, served.server, template["spec"])


def manifest(s: Situation, server: Server, inputs: str, template: Manifest) -> Manifest:
    """The Deployment of a version; a new pod must be ready before an old one goes."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": s.server_name(server),
            "labels": labels(s, server),
            "annotations": pinned(inputs, template),
        },
        "spec": {
            "replicas": s.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": selector(s, server)},
            "strategy": ROLL,
            "template": template,
        },
    }
