"""The indexed Job and the ConfigMap of one run or one preparation: `restricted`, never patched but for suspend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from modelyard import names
from modelyard.api.common import Resources
from modelyard.api.run import (
    CA_PATH,
    CONFIG_PATH,
    FINAL_EXIT_CODES,
    TOKEN_PATH,
    WORK_PATH,
    ExitCode,
    PrepareConfig,
    TrainConfig,
)
from modelyard.decision import Child, Manifest, Observed, Platform
from modelyard.resources import jobs, quantity
from modelyard.resources.queueing import queue_in
from modelyard.resources.remembered import remembered

CONTAINER = "trainer"
USER = 65532
KEY_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN_SECONDS = 3600
TOKENS = {f"{purpose}-token": purpose for purpose in (names.PROGRESS, names.CREDENTIALS)}
"""Volume -> what its token is for."""
MOUNTS = {
    "work": WORK_PATH,
    "tmp": "/tmp",
    "shm": "/dev/shm",
    "config": str(PurePosixPath(CONFIG_PATH).parent),
    **{volume: f"{TOKEN_PATH}/{purpose}" for volume, purpose in TOKENS.items()},
}
READ_ONLY = ("config", *TOKENS)


@dataclass(frozen=True)
class RunPlan:
    """All that decides the Job and its ConfigMap; both bear `name`."""

    name: str
    run: str
    config: PrepareConfig | TrainConfig
    image: str
    store_secret: str
    resources: Resources
    retries: int
    endpoint: str = ""
    """Address of this Job at the operator's endpoint."""
    endpoint_ca: str = ""
    grace: int = 60
    """Seconds between SIGTERM and SIGKILL."""
    queue: str = ""
    """Local queue of Kueue; empty: the Job starts at once."""
    source_secret: str = ""
    """Secret with the key of a Dataset's source; empty when there is no source to read."""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, str]] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def children(plan: RunPlan, suspend: bool | None = None) -> tuple[Child, ...]:
    """Both, made once and never patched; `suspend` goes by the Child alone, for a queued Job by being there."""
    config = Child(config_map(plan), "create")
    if plan.queue:
        return (config,) if suspend else (config, Child(job(plan), "create"))
    return (config, Child(job(plan), "create", suspend=suspend))


def kept(name: str, suspend: bool | None = None) -> tuple[Child, ...]:
    """Both, if they are still there: they hold the logs of what has ended."""
    return (
        Child({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, "keep"),
        Child({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}, "keep", suspend=suspend),
    )


def stopped(name: str, job: Manifest | None) -> tuple[Child, ...]:
    """Both kept for their logs, and no more pods made; a Job that Kueue would start again goes."""
    going = job is not None and not jobs.has_ended(job)
    if going and queue_in(job):
        return kept(name)[:1]
    return kept(name, suspend=True if going else None)


def all_kept(observed: Observed) -> tuple[Child, ...]:
    """Every child as it is: for a pass that must not touch anything."""
    return tuple(Child(child, "keep") for child in observed.children)


@remembered
def inputs_hash(plan: RunPlan) -> str:
    """The same for the same inputs, whatever this operator's version makes of them."""
    inputs: list[Any] = [plan.config.dump(), plan.image, plan.store_secret, plan.source_secret, plan.resources.dump()]
    inputs += [plan.retries, plan.grace, plan.queue, dict(plan.node_selector), [dict(t) for t in plan.tolerations]]
    return names.short_hash(json.dumps(inputs, sort_keys=True))


def config_map(plan: RunPlan) -> Manifest:
    """The RunConfig, immutable."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(plan),
        "immutable": True,
        "data": {
            PurePosixPath(CONFIG_PATH).name: json.dumps(plan.config.dump(), sort_keys=True),
            PurePosixPath(CA_PATH).name: plan.endpoint_ca,
        },
    }


def job(plan: RunPlan) -> Manifest:
    """One pod at a time, tried again `retries` times, never for faults that would come back."""
    metadata = _metadata(plan)
    queue = {names.LABEL_QUEUE: plan.queue} if plan.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": metadata["labels"] | queue},
        "spec": {
            **({"suspend": True} if queue else {}),
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": plan.retries,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": {"metadata": {"labels": _labels(plan)}, "spec": _pod_spec(plan)},
        },
    }


def _metadata(plan: RunPlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "labels": _labels(plan),
        "annotations": {names.ANNOTATION_INPUTS: inputs_hash(plan)},
    }


def _labels(plan: RunPlan) -> dict[str, str]:
    return {**plan.labels, names.LABEL_RUN: plan.run}


def _failure_rules() -> list[dict[str, Any]]:
    codes = {"containerName": CONTAINER, "operator": "In", "values": list(FINAL_EXIT_CODES)}
    return [
        {"action": "FailJob", "onExitCodes": codes},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        # Suspending deletes pods without that condition: being asked to stop is no failure of the run.
        {"action": "Ignore", "onExitCodes": {**codes, "values": [int(ExitCode.INTERRUPTED)]}},
    ]


def _pod_spec(plan: RunPlan) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.grace,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(plan)],
        "volumes": _volumes(plan),
    }
    if plan.node_selector:
        spec["nodeSelector"] = dict(plan.node_selector)
    if plan.tolerations:
        spec["tolerations"] = [dict(toleration) for toleration in plan.tolerations]
    return spec


def _container(plan: RunPlan) -> dict[str, Any]:
    amounts = _amounts(plan.resources)
    return {
        "name": CONTAINER,
        "image": plan.image,
        "env": _environment(plan),
        "resources": {"requests": amounts, "limits": dict(amounts)},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_mount(volume["name"]) for volume in _volumes(plan)],
    }


def _amounts(resources: Resources) -> dict[str, str]:
    amounts = {"cpu": quantity.cpu(resources.cpu), "memory": quantity.memory(resources.memory)}
    if resources.gpu:
        amounts["nvidia.com/gpu"] = str(resources.gpu)
    return amounts


def _environment(plan: RunPlan) -> list[dict[str, Any]]:
    plain = {"MODELYARD_CONFIG": CONFIG_PATH, "MODELYARD_WORK": WORK_PATH, "MODELYARD_RUN": plan.run, "HOME": "/tmp"}
    plain |= endpoint_environment(plan)
    plain["MODELYARD_GRACE"] = str(plan.grace)
    # Math libraries see the node's cores, not the container's limit.
    plain["OMP_NUM_THREADS"] = str(max(1, int(plan.resources.cpu)))
    keys = [_from_secret(name, plan.store_secret, name) for name in KEY_NAMES] if plan.store_secret else []
    if plan.source_secret:
        keys += [_from_secret(f"SOURCE_{name}", plan.source_secret, name) for name in KEY_NAMES]
    return [{"name": name, "value": value} for name, value in plain.items()] + keys


def endpoint_environment(plan: RunPlan) -> dict[str, str]:
    """Where progress goes, in the words that stock Hugging Face Trainer reads, and where store keys come from."""
    keys = {"MODELYARD_CREDENTIALS_URL": f"{plan.endpoint}/{names.CREDENTIALS}"}
    return ({} if plan.store_secret else keys) | {
        "KUBEFLOW_TRAINER_SERVER_URL": f"{plan.endpoint}/{names.PROGRESS}",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": CA_PATH,
        "KUBEFLOW_TRAINER_SERVER_TOKEN": f"{TOKEN_PATH}/{names.PROGRESS}/token",
    }


def endpoint_of(platform: Platform, namespace: str, job: str) -> str:
    """Address of a Job at the operator's endpoint."""
    return f"{platform.endpoint}/v1/namespaces/{namespace}/jobs/{job}"


def _from_secret(variable: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _volumes(plan: RunPlan) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "work", "emptyDir": {}}, {"name": "tmp", "emptyDir": {}}]
    if plan.resources.gpu:  # pinned buffers and NCCL need more than the runtime's 64 MiB
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
    volumes.append({"name": "config", "configMap": {"name": plan.name}})
    return volumes + [_token(plan, volume, purpose) for volume, purpose in _tokens(plan).items()]


def _tokens(plan: RunPlan) -> dict[str, str]:
    """A pod with a store key of its own needs no other."""
    return {volume: of for volume, of in TOKENS.items() if of == names.PROGRESS or not plan.store_secret}


def _token(plan: RunPlan, volume: str, purpose: str) -> dict[str, Any]:
    """A token that opens nothing but this Job's part of the endpoint, for one purpose."""
    token = {"audience": names.audience(plan.name, purpose), "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    return {"name": volume, "projected": {"sources": [{"serviceAccountToken": token}]}}


def _mount(volume: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": volume, "mountPath": MOUNTS[volume]}
    if volume in READ_ONLY:
        mount["readOnly"] = True
    return mount
