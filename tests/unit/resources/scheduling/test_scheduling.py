from typing import Any

import pytest

from modelyard.resources.scheduling import GIB, Capacity, capacity_needs, why_unscheduled
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
    "taints that the scheduler does not name": (
        asking(cpu="1"),
        "0/1 nodes are available: 1 node(s) had untolerated taint(s)." + END,
        "waiting: taints that the pod does not tolerate on 1 node (kubectl describe nodes shows them); "
        "add spec.pod.tolerations to the TrainingProfile, add a node, or wait until one is free",
    ),
    "selector": (
        asking(cpu="1"),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector." + END,
        "waiting: labels that the pod needs are missing on 1 node; "
        "change spec.pod.nodeSelector of the TrainingProfile, or label or add a node",
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
    assert why_unscheduled(pod, told, "spec.resources", "TrainingProfile", {}) == expected


TWO_CORES = {"cpu": {"most": 2.0, "free": 0.35}, "memory": {"most": 24.2 * GIB, "free": 20.0 * GIB}}
CPU, GPU = (
    "0/1 nodes are available: 1 Insufficient cpu." + END,
    "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
)
WITH_GPU = {**TWO_CORES, "nvidia.com/gpu": {"most": 1.0, "free": 0.0}}


@pytest.mark.parametrize(
    ("pod", "told", "capacity", "words"),
    [
        (
            asking(cpu="1"),
            CPU,
            TWO_CORES,
            "1 CPU asked, at most 0.3 free on 1 node; lower spec.resources.cpu, add a node, or",
        ),
        (asking(cpu="500m"), CPU, TWO_CORES, "500m CPU asked, at most 0.3 free on 1 node"),
        (
            asking(cpu="8"),
            CPU,
            TWO_CORES,
            "no node has more than 2; lower spec.resources.cpu, or add a node that has as much",
        ),
        (
            asking(memory="64Gi"),
            CPU.replace("cpu", "memory"),
            TWO_CORES,
            "64Gi memory asked, no node has more than 24.2Gi",
        ),
        (
            asking(gpu="1"),
            GPU,
            TWO_CORES,
            "1 GPU asked, no node has any; lower spec.resources.gpu, or add a node",
        ),
        (
            asking(gpu="1"),
            GPU,
            WITH_GPU,
            "1 GPU asked, 0 free on 1 node; lower spec.resources.gpu, add a node, or wait",
        ),
        (asking(cpu="0.2"), CPU, TWO_CORES, "0.2 CPU asked, less free on 1 node"),
    ],
)
def test_how_much_is_free_where_it_is_known(pod: Built, told: str, capacity: Capacity, words: str) -> None:
    assert words in why_unscheduled(pod, told, "spec.resources", "TrainingProfile", capacity)


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        (CPU, True),
        ("0/50 nodes are available: 1 Insufficient cpu, 49 node(s) had untolerated taint {a: }.", True),
        ("0/51 nodes are available: 51 Insufficient cpu.", False),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {a: }.", False),
    ],
)
def test_nodes_are_read_only_where_too_little_is_free_and_they_are_few(told: str, asked: bool) -> None:
    assert bool(list(capacity_needs([a_pod().unschedulable(told)]))) is asked
    assert not list(capacity_needs([a_pod().running(), a_pod()]))
