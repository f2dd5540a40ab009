"""Every pod that our code or the chart makes, as the manifests that they make it from; and what `restricted` asks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from modelyard.api.modeldeployment import ServeResources
from modelyard.api.pod import Pod as PodBlock
from modelyard.lifecycle import OFFER
from modelyard.resources import dataset
from modelyard.resources.modeldeployment.pod import POD, pod_template
from tests.builders import a_dataset, a_finetunejob, a_profile
from tests.cluster.manifests import FULL_POD
from tests.helm import helm
from tests.unit.resources.finetunejob.harness import JobHarness
from tests.unit.resources.harness import PLATFORM, Harness

Pod = dict[str, Any]
ROOT = Path(__file__).parents[1]
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret", "csi"}
NO_USER = {"user": "cluster"}
CHART = "store.endpoint=http://s:9000,store.existingSecret=key"


def all_pods() -> dict[str, Pod]:
    """Pod specs by what they are for."""
    return {
        "run": _job_of(JobHarness()),
        "run with GPUs": _job_of(JobHarness(a_finetunejob(resources={"gpu": 1, "cpu": 4, "memory": "8Gi"}))),
        "preparation": _job_of(Harness(dataset.RECONCILER, a_dataset(), a_profile())),
        "preparation with a key of its own": _job_of(Harness(dataset.RECONCILER, _with_secret(), a_profile())),
        "run with all that a profile adds": _job_of(JobHarness(a_finetunejob(), a_profile(pod=FULL_POD), _rows())),
        "run whose user the cluster chooses": _job_of(JobHarness(a_finetunejob(), a_profile(pod=NO_USER), _rows())),
        "server": _server(PodBlock()),
        "server with all that a profile adds": _server(PodBlock.model_validate(FULL_POD)),
        "server under KServe": _kserve_server(),
        **_chart_pods(),
    }


def _rows() -> Any:
    return a_dataset().prepared()


def _with_secret() -> Any:
    return a_dataset(source={"s3": {"uri": "s3://data/x/", "endpoint": "http://s:9000", "secret": "mine"}})


def _job_of(harness: Harness) -> Pod:
    harness.settle()
    return dict(harness.job()["spec"]["template"]["spec"])


def _server(added: PodBlock) -> Pod:
    asked = ServeResources()
    made = pod_template(
        model="m",
        number=1,
        uri="modelyard://b/p@d",
        namespace="team-a",
        resources=asked,
        platform=PLATFORM,
        added=added,
    )
    return dict(made["spec"])


def _kserve_server() -> Pod:
    """The pod that KServe puts together from what we offer to it and the InferenceService's pod fields."""
    platform = replace(PLATFORM, kserve=True, server_image="server:1")
    offered = {obj["kind"]: obj["spec"] for obj in OFFER.objects(platform)}
    runtime, storage = offered["ClusterServingRuntime"], offered["ClusterStorageContainer"]
    pod = {key: value for key, value in runtime.items() if key in ("containers", "volumes", "securityContext")}
    fetch = {**storage["container"], "name": "storage-initializer"}
    return {**pod, **POD, "initContainers": [fetch]}


def _chart_pods() -> dict[str, Pod]:
    done = helm("template", "prod", str(ROOT / "charts/modelyard"), "--kube-version", "1.34.0", "--set", CHART)
    assert done.returncode == 0, done.stderr
    objects = (obj for obj in yaml.safe_load_all(done.stdout) if obj and obj["kind"] in ("Deployment", "Job"))
    return {f"chart: {obj['kind']} {obj['metadata']['name']}": obj["spec"]["template"]["spec"] for obj in objects}


def violations(pod: Pod) -> Iterator[str]:
    """What Pod Security `restricted` refuses, and what we ask beside it: read-only root, no token, limits."""
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    whole = pod.get("securityContext", {})
    for volume in pod.get("volumes", []):
        yield from _of_volume(volume)
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        yield from (f"{container['name']}: {told}" for told in _of_container(container, whole))


def _of_volume(volume: dict[str, Any]) -> Iterator[str]:
    if not VOLUMES & set(volume):
        yield f"volume {volume['name']}: {sorted(set(volume) - {'name'})}"
    for source in volume.get("projected", {}).get("sources", []):
        if "serviceAccountToken" in source and not source["serviceAccountToken"].get("audience"):
            yield f"volume {volume['name']}: a token for the API server"


def _of_container(container: dict[str, Any], whole: dict[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**whole, **own}
    wanted = {
        "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
        "privileged": not own.get("privileged"),
        "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
        "runAsNonRoot": both.get("runAsNonRoot") is True and both.get("runAsUser") != 0,
        "seccompProfile": both.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
        "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
        "hostPort": not any(port.get("hostPort") for port in container.get("ports", [])),
        "limits": "memory" in container.get("resources", {}).get("limits", {}),
    }
    yield from (name for name, held in wanted.items() if not held)


BREAKS: dict[str, Callable[[Pod], Any]] = {
    "hostNetwork": lambda pod: pod.update(hostNetwork=True),
    "hostPID": lambda pod: pod.update(hostPID=True),
    "hostPath": lambda pod: pod.setdefault("volumes", []).append({"name": "h", "hostPath": {"path": "/"}}),
    "privileged": lambda pod: pod["containers"][0]["securityContext"].update(
        privileged=True, allowPrivilegeEscalation=True
    ),
    "allowPrivilegeEscalation": lambda pod: pod["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
    "capabilities": lambda pod: pod["containers"][0]["securityContext"].update(capabilities={"add": ["NET_ADMIN"]}),
    "runAsNonRoot": lambda pod: pod["securityContext"].update(runAsNonRoot=False),
    "runAsUser": lambda pod: pod["containers"][0]["securityContext"].update(runAsUser=0),
    "seccompProfile": lambda pod: pod["securityContext"].update(seccompProfile={"type": "Unconfined"}),
    "hostPort": lambda pod: pod["containers"][0].update(ports=[{"containerPort": 80, "hostPort": 80}]),
}


def broken(pod: Pod, name: str) -> Pod:
    """The pod with one rule of `restricted` broken."""
    made = copy.deepcopy(pod)
    BREAKS[name](made)
    return made
