from typing import Any

import pytest

from modelyard.resources.scheduling import why_unscheduled
from tests.builders import Built, a_pod

END = " no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."


def asking(**requests: str) -> Built:
    named: dict[str, Any] = {name.replace("gpu", "nvidia.com/gpu"): amount for name, amount in requests.items()}
    return a_pod().but("spec.containers", [{"name": "trainer", "resources": {"requests": named}}])


CASES = {
    "one gpu": (
        asking(gpu="1"),
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." + END,
        "waiting: 1 GPU asked, 0 free on 1 node; lower spec.resources.gpu, add a node, or wait until one is free",
    ),
    "four gpus": (
        asking(gpu="4"),
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu." + END,
        "waiting: 4 GPU asked, less free on 3 nodes; lower spec.resources.gpu, add a node, or wait until one is free",
    ),
    "two things": (
        asking(cpu="8", memory="64Gi"),
        "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. preemption: 0/2 nodes are available.",
        "waiting: 8 CPU asked, less free on 1 of 2 nodes, 64Gi memory asked, less free on 2 nodes; "
        "lower spec.resources.cpu and spec.resources.memory, add a node, or wait until one is free",
    ),
    "taint": (
        asking(gpu="1"),
        "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {nvidia.com/gpu: }."
        + END,
        "waiting: 1 GPU asked, 0 free on 1 of 2 nodes, taint nvidia.com/gpu on 1 of 2 nodes; "
        "lower spec.resources.gpu, add spec.pod.tolerations to the TrainingProfile, add a node, "
        "or wait until one is free",
    ),
    "selector": (
        asking(cpu="1"),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + END,
        "waiting: labels that the pod needs are missing on 1 node; "
        "change spec.pod.nodeSelector of the TrainingProfile, add a node, or wait until one is free",
    ),
    "pods": (
        asking(),
        "0/1 nodes are available: 1 Too many pods." + END,
        "waiting: Too many pods on 1 node; add a node, or wait until one is free",
    ),
    "no nodes": (
        asking(),
        "no nodes available to schedule pods",
        "waiting: no node can take the pod: no nodes available to schedule pods; add a node",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_schedulers_sentence_in_our_words(name: str) -> None:
    pod, told, expected = CASES[name]
    assert why_unscheduled(pod, told, "spec.resources", "TrainingProfile") == expected
