"""The pod of a run: `restricted`; one container of ours, or a foreign one between two of ours, each with its part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from modelyard import names
from modelyard.api.run import CA_PATH, CONFIG_PATH, INPUTS_PATH, OUTPUT_PATH, TOKEN_PATH, WORK_PATH
from modelyard.resources import pod_block, quantity
from modelyard.resources.containers import CONFINED, keys_from
from modelyard.resources.run_plan import CONTAINER, FETCH, PUBLISH, RunPlan

USER = 65532
TOKEN_SECONDS = 3600
TOKENS = {f"{purpose}-token": purpose for purpose in (names.PROGRESS, names.CREDENTIALS)}
"""Volume -> what its token is for."""
MOUNTS = {
    "work": WORK_PATH,
    "tmp": "/tmp",
    "scratch": "/tmp",
    "shm": "/dev/shm",
    "inputs": INPUTS_PATH,
    "output": OUTPUT_PATH,
    "config": str(PurePosixPath(CONFIG_PATH).parent),
    **{volume: f"{TOKEN_PATH}/{purpose}" for volume, purpose in TOKENS.items()},
}
READ_ONLY = ("config", *TOKENS)
FOLDERS = {"MODELYARD_BASE": f"{INPUTS_PATH}/base", "MODELYARD_DATA": f"{INPUTS_PATH}/data"}
OUTPUT = {"MODELYARD_OUTPUT": OUTPUT_PATH}


def pod_spec(plan: RunPlan) -> dict[str, Any]:
    """The pod's spec."""
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": plan.grace,
        "securityContext": {
            "runAsNonRoot": True,
            **({"runAsUser": USER, "runAsGroup": USER} if plan.pod.user == "fixed" else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_containers(plan),
        "volumes": _volumes(plan),
        **pod_block.in_spec(plan.pod),
    }


def _containers(plan: RunPlan) -> dict[str, list[dict[str, Any]]]:
    """What runs one after the other; the foreign container sees no store key, and of our folders only its inputs."""
    own = ["work", "tmp", *_shared(plan), *_tokens(plan)]
    if not plan.command:
        return {"containers": [_container(plan, CONTAINER, plan.image, _own_environment(plan), own)]}
    fetch = _container(plan, FETCH, plan.own_image, _own_environment(plan, FOLDERS), [*own, "inputs"])
    foreign = _foreign(plan)
    told = _own_environment(plan, {**FOLDERS, **OUTPUT})
    publish = _container(plan, PUBLISH, plan.own_image, told, [*own, "inputs", "output"], ("inputs", "output"))
    ours = [{**container, "args": [container["name"]]} for container in (fetch, publish)]
    return {"initContainers": [ours[0], foreign], "containers": [ours[1]]}


def _foreign(plan: RunPlan) -> dict[str, Any]:
    plain = {**_plain(plan), **_progress(plan), **FOLDERS, **OUTPUT}
    volumes = ["scratch", *_shared(plan), f"{names.PROGRESS}-token", "inputs", "output"]
    made = _container(plan, CONTAINER, plan.image, _entries(plain), volumes, ("inputs",))
    return {**made, "command": list(plan.command), **({"args": list(plan.args)} if plan.args else {})}


def _container(
    plan: RunPlan,
    name: str,
    image: str,
    environment: list[dict[str, Any]],
    volumes: Sequence[str],
    read_only: Sequence[str] = (),
) -> dict[str, Any]:
    amounts = _amounts(plan)
    container = {
        "name": name,
        "image": image,
        "env": environment,
        "resources": {"requests": amounts, "limits": dict(amounts)},
        **CONFINED,
        "volumeMounts": [_mount(volume, volume in (*READ_ONLY, *read_only)) for volume in volumes],
    }
    return pod_block.in_container(plan.pod, container)


def _amounts(plan: RunPlan) -> dict[str, str]:
    resources = plan.resources
    amounts = {"cpu": quantity.cpu(resources.cpu), "memory": quantity.memory(resources.memory)}
    if resources.gpu:
        amounts[plan.pod.gpu_resource] = str(resources.gpu)
    return amounts


def _own_environment(plan: RunPlan, more: Mapping[str, str] = {}) -> list[dict[str, Any]]:
    plain = {**_plain(plan), "MODELYARD_WORK": WORK_PATH, **_progress(plan), **_keys(plan), **more}
    secrets = {"": plan.store_secret, "SOURCE_": plan.source_secret}
    keys = [key for prefix, secret in secrets.items() if secret for key in keys_from(secret, prefix)]
    return _entries(plain) + keys


def _plain(plan: RunPlan) -> dict[str, str]:
    return {
        "MODELYARD_CONFIG": CONFIG_PATH,
        "MODELYARD_RUN": plan.run,
        "MODELYARD_GRACE": str(plan.grace),
        "HOME": "/tmp",
        # Math libraries see the node's cores, not the container's limit.
        "OMP_NUM_THREADS": str(max(1, int(plan.resources.cpu))),
    }


def _progress(plan: RunPlan) -> dict[str, str]:
    """Where progress goes, in the words that stock Hugging Face Trainer reads."""
    return {
        "KUBEFLOW_TRAINER_SERVER_URL": f"{plan.endpoint}/{names.PROGRESS}",
        "KUBEFLOW_TRAINER_SERVER_CA_CERT": CA_PATH,
        "KUBEFLOW_TRAINER_SERVER_TOKEN": f"{TOKEN_PATH}/{names.PROGRESS}/token",
    }


def _keys(plan: RunPlan) -> dict[str, str]:
    """Where store keys come from; a pod with a key of its own needs no other."""
    return {} if plan.store_secret else {"MODELYARD_CREDENTIALS_URL": f"{plan.endpoint}/{names.CREDENTIALS}"}


def _entries(plain: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in plain.items()]


def _volumes(plan: RunPlan) -> list[dict[str, Any]]:
    folders = ["work", "tmp", *(("inputs", "output", "scratch") if plan.command else ())]
    volumes: list[dict[str, Any]] = [{"name": name, "emptyDir": {}} for name in folders]
    if plan.resources.gpu and not plan.pod.shared_memory:  # pinned buffers and NCCL need more than the runtime's 64 MiB
        volumes.append(pod_block.shared_memory(None))
    volumes += pod_block.volumes(plan.pod)
    volumes.append({"name": "config", "configMap": {"name": plan.name}})
    return volumes + [_token(plan, volume, purpose) for volume, purpose in _tokens(plan).items()]


def _shared(plan: RunPlan) -> list[str]:
    return [*(["shm"] if plan.resources.gpu else []), "config"]


def _tokens(plan: RunPlan) -> dict[str, str]:
    return {volume: of for volume, of in TOKENS.items() if of == names.PROGRESS or not plan.store_secret}


def _token(plan: RunPlan, volume: str, purpose: str) -> dict[str, Any]:
    """A token that opens nothing but this Job's part of the endpoint, for one purpose."""
    token = {"audience": names.audience(plan.name, purpose), "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    return {"name": volume, "projected": {"sources": [{"serviceAccountToken": token}]}}


def _mount(volume: str, read_only: bool) -> dict[str, Any]:
    return {"name": volume, "mountPath": MOUNTS[volume], **({"readOnly": True} if read_only else {})}
