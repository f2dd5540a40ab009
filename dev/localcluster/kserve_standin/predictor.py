"""What becomes of an InferenceService: one Deployment and one Service."""

from typing import Any

Manifest = dict[str, Any]
MODELS = "/mnt/models"
VOLUME = {"name": "kserve-provision-location", "mountPath": MODELS}
SERVER, FETCH = "kserve-container", "storage-initializer"
NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration",)
OF_THE_PREDICTOR = ("model", "minReplicas", "maxReplicas", "deploymentStrategy", "storageContainerName")


def deployment(service: Manifest, runtime: Manifest, fetch: Manifest) -> Manifest:
    """The Deployment, with a replica count as the autoscaler class `none` has it."""
    predictor, meta = service["spec"]["predictor"], metadata(service)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": predictor.get("minReplicas", 1),
            "selector": {"matchLabels": _selector(service)},
            "strategy": predictor.get("deploymentStrategy", {"type": "RollingUpdate"}),
            "template": {
                "metadata": {"labels": meta["labels"], "annotations": meta["annotations"]},
                "spec": pod(service, runtime, fetch),
            },
        },
    }


def pod(service: Manifest, runtime: Manifest, fetch: Manifest) -> Manifest:
    """The predictor's pod fields, the runtime's container with the model's on top, and the init container."""
    predictor, offered = service["spec"]["predictor"], runtime["spec"]
    model = {key: predictor["model"][key] for key in ("env", "resources", "args") if key in predictor["model"]}
    server = merged(next(c for c in offered["containers"] if c["name"] == SERVER), model)
    init = merged({"args": [predictor["model"]["storageUri"], MODELS]}, fetch["spec"]["container"])
    own = {key: value for key, value in predictor.items() if key not in OF_THE_PREDICTOR}
    return {
        **own,
        "containers": [_with_volume(server, read_only=True)],
        "initContainers": [_with_volume({**init, "name": FETCH}, read_only=False)],
        "volumes": [*offered.get("volumes", []), {"name": VOLUME["name"], "emptyDir": {}}],
    }


def service_of(service: Manifest, runtime: Manifest) -> Manifest:
    """The Service: the first port of the container becomes 80, the others stay, gRPC is marked as h2c."""
    first, *others = next(c for c in runtime["spec"]["containers"] if c["name"] == SERVER)["ports"]
    ports = [_port(first, 80), *(_port(port, port["containerPort"]) for port in others)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(service),
        "spec": {"selector": _selector(service), "ports": ports},
    }


def metadata(service: Manifest) -> Manifest:
    """Name and owner; labels and annotations of the InferenceService are copied, also to the pods."""
    meta = service["metadata"]
    marks = {"serving.kserve.io/inferenceservice": meta["name"], "component": "predictor"}
    annotations = {key: value for key, value in meta.get("annotations", {}).items() if key not in NOT_COPIED}
    owner = {"apiVersion": service["apiVersion"], "kind": service["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {
        "name": f"{meta['name']}-predictor",
        "namespace": meta["namespace"],
        "labels": {**meta.get("labels", {}), **marks, **_selector(service)},
        "annotations": annotations,
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }


def merged(base: Manifest, patch: Manifest) -> Manifest:
    """A container with another on top; lists of named things (env) by name, other lists replaced."""
    found = dict(base)
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(found.get(key), dict):
            found[key] = merged(found[key], value)
        elif key == "env":
            found[key] = list({entry["name"]: entry for entry in (*found.get(key, []), *value)}.values())
        else:
            found[key] = value
    return found


def _with_volume(container: Manifest, *, read_only: bool) -> Manifest:
    mount = {**VOLUME, "readOnly": True} if read_only else VOLUME
    return {**container, "volumeMounts": [*container.get("volumeMounts", []), mount]}


def _selector(service: Manifest) -> dict[str, str]:
    return {"app": f"isvc.{service['metadata']['name']}-predictor"}


def _port(port: Manifest, number: int) -> Manifest:
    protocol = {"appProtocol": "kubernetes.io/h2c"} if "grpc" in port["name"] else {}
    target = {"targetPort": port["containerPort"], "protocol": port.get("protocol", "TCP")}
    return {"name": port["name"], "port": number, **target, **protocol}
