"""A Job that waits keeps its place: the installation's and a release's changes make none again, people's changes do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.api.common import Resources
from modelyard.resources.dataset import RECONCILER as DATASET
from tests.builders import Built, a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness
from tests.unit.resources.harness import PLATFORM, Harness

LABELS = {names.LABEL_QUEUE: "team-a"}
OWN = {"image": "mine:1"}
FOREIGN = {"image": "theirs:1", "command": ["train"]}
Make = Callable[[], Harness]


def a_run(trainer: dict[str, Any] | None = None, queue: bool = False) -> JobHarness:
    obj = a_finetunejob().but("metadata.labels", LABELS) if queue else a_finetunejob()
    harness = JobHarness(obj, a_profile(trainer=trainer or {}), a_dataset().prepared())
    harness.settle()
    return harness


def a_preparation(trainer: dict[str, Any] | None = None, queue: bool = False) -> Harness:
    obj = a_dataset().but("metadata.labels", LABELS) if queue else a_dataset()
    harness = Harness(DATASET, obj, a_profile(trainer=trainer or {}))
    harness.settle()
    return harness


MAKERS: dict[str, Make] = {
    "run": a_run,
    "run in a queue": lambda: a_run(queue=True),
    "run of a profile's image": lambda: a_run(OWN),
    "foreign run": lambda: a_run(FOREIGN, queue=True),
    "preparation": a_preparation,
    "preparation in a queue": lambda: a_preparation(queue=True),
    "preparation beside a foreign trainer": lambda: a_preparation(FOREIGN),
}
INSTALLATION: dict[str, dict[str, Any]] = {
    "trainer image": {"trainer_image": "modelyard/trainer:2"},
    "server image": {"server_image": "server:2"},
    "store": {"store_endpoint": "https://elsewhere", "store_region": "eu"},
    "authorities": {"store_ca_bundle": "-----BEGIN CERTIFICATE-----\nx"},
    "endpoint": {"endpoint": "https://other.svc", "endpoint_ca": "OTHER"},
}


def seen(harness: Harness) -> tuple[Any, ...]:
    return copy.deepcopy(harness.children), harness.writes, harness.births, harness.deaths


@pytest.mark.parametrize("changed", INSTALLATION)
@pytest.mark.parametrize("make", MAKERS)
def test_another_installation_makes_no_job_again(make: str, changed: str) -> None:
    harness = MAKERS[make]()
    before = seen(harness)
    harness.platform = replace(PLATFORM, **INSTALLATION[changed])
    harness.settle()
    assert seen(harness) == before


@pytest.mark.parametrize("make", [a_run, a_preparation])
def test_a_pod_that_lacks_its_image_gets_the_installations_new_one(make: Any) -> None:
    harness = make()
    harness.pod(lambda pod: pod.waiting("ImagePullBackOff", "not found"))
    harness.settle()
    assert harness.reason == names.IMAGE_PULL
    harness.platform = replace(PLATFORM, trainer_image="modelyard/trainer:2")
    harness.settle()
    (container,) = harness.job()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "modelyard/trainer:2"


@pytest.mark.parametrize("make", [a_run, a_preparation])
def test_what_people_change_makes_it_again(make: Any) -> None:
    changes: tuple[Callable[[Harness], None], ...] = (
        lambda harness: harness.edit(resources={"cpu": 3}),
        lambda harness: harness.put(a_profile(retries=7)),
        lambda harness: harness.put(a_profile(trainer=OWN)),
        lambda harness: harness.put(a_profile(pod={"nodeSelector": {"pool": "a"}})),
    )
    for change in changes:
        harness = make()
        first = harness.job()["metadata"]["uid"]
        change(harness)
        harness.settle()
        assert harness.job()["metadata"]["uid"] != first


def test_a_job_that_was_deleted_comes_with_what_the_installation_has_now() -> None:
    harness = a_run()
    harness.platform = replace(PLATFORM, trainer_image="modelyard/trainer:2")
    harness.remove("Job", harness.named("Job")[0])
    harness.settle()
    assert harness.run["pinned"]["image"] == "modelyard/trainer:2"
    assert harness.job()["spec"]["template"]["spec"]["containers"][0]["image"] == "modelyard/trainer:2"


def test_the_hash_of_a_waiting_job_is_what_it_was() -> None:
    """Literal on purpose: another value makes every Job again that waits while the operator is upgraded."""
    marks = [make().job()["metadata"]["annotations"][names.ANNOTATION_INPUTS] for make in MAKERS.values()]
    assert marks == FROZEN
    assert set(Resources.model_fields) == {"cpu", "memory", "gpu"}, "a new one counts in inputs_hash unless it is empty"


FROZEN = ["6d335255db", "1cf14bf3b9", "985dca7691", "de3a3d36ae", "bc5e3cc9f2", "fa1612a87c", "bc5e3cc9f2"]


def test_a_configmap_of_an_older_make_does_not_serve_the_next_job() -> None:
    harness = a_run()
    old = Built(copy.deepcopy(harness.children["ConfigMap", harness.named("ConfigMap")[0]]))
    harness.platform = replace(PLATFORM, store_endpoint="https://elsewhere")
    harness.remove("Job", harness.named("Job")[0])
    harness.settle()
    assert harness.children["ConfigMap", old["metadata"]["name"]]["data"] != old["data"]
