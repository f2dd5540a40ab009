"""One version's server under KServe: an InferenceService, of which KServe makes a Deployment and its pods."""

from __future__ import annotations

from modelyard.decision import Manifest
from modelyard.resources import pod_block
from modelyard.resources.modeldeployment.pod import POD, identity_env, requests_and_limits
from modelyard.resources.modeldeployment.server import ROLL, pinned, signed, storage_uri
from modelyard.resources.modeldeployment.serving_runtime import FORMAT, SERVING, offered
from modelyard.resources.modeldeployment.situation import Served, Server, Situation

ANNOTATIONS = {f"{SERVING}/deploymentMode": "Standard", f"{SERVING}/autoscalerClass": "none"}
"""A plain Deployment, and as many pods as we say."""
INSIDE = {"networking.kserve.io/visibility": "cluster-local"}
"""No Ingress: requests come through the stable Service."""


def fresh_template(s: Situation, served: Served) -> Manifest:
    """The predictor as this release of the operator makes it, with the labels and annotations of its pods."""
    runtime, fetch = (obj["metadata"]["name"] for obj in offered(s.observed.platform))
    version = served.version
    model = {
        "modelFormat": {"name": FORMAT},
        "runtime": runtime,
        "protocolVersion": "v2",
        "storageUri": storage_uri(version),
        "env": identity_env(version.spec.model, version.number),
        "resources": requests_and_limits(s.spec.serve.resources),
    }
    predictor = {
        **POD,
        **pod_block.in_spec(s.added),
        "deploymentStrategy": ROLL,
        "storageContainerName": fetch,
        "model": pod_block.in_container(s.added, model),
    }
    volumes = pod_block.volumes(s.added)
    return signed(s, served.server, {**predictor, **({"volumes": volumes} if volumes else {})})


def manifest(s: Situation, server: Server, inputs: str, template: Manifest) -> Manifest:
    """The InferenceService of a version; KServe copies its labels and annotations to the Deployment and its pods.

    So they never change while the template stays: another value would start the pods anew.
    """
    marks = template["metadata"]
    annotations = {**marks["annotations"], **ANNOTATIONS, **pinned(inputs, template)}
    return {
        "apiVersion": f"{SERVING}/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": s.server_name(server),
            "labels": {**marks["labels"], **INSIDE},
            "annotations": annotations,
        },
        "spec": {"predictor": {**template["spec"], "minReplicas": s.replicas}},
    }
