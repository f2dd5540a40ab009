"""The operator's own check says what the API server's policy says: same cases (tests/limit_cases.py)."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Answer
from modelyard.resources import dataset
from modelyard.resources.limits import Asked, not_offered, over_limit
from tests.builders import Built, a_dataset, a_finetunejob, a_profile
from tests.cluster.manifests import changed, smallest
from tests.limit_cases import ALLOWED, FOREIGN, GOLD, LIMITS, NOT_OFFERED, OWN, REFUSED, Case
from tests.unit.resources.finetunejob.harness import JobHarness
from tests.unit.resources.harness import Harness

NARROW = TrainingProfileSpec.model_validate(LIMITS)


def asked(case: Case) -> Asked:
    spec = changed(smallest(case.kind, resources={"cpu": 1, "memory": "1Gi"}), case.fields)["spec"]
    if case.kind == "Dataset":
        return Asked(DatasetSpec.model_validate(spec).resources)
    job = FineTuneJobSpec.model_validate(spec)
    return Asked(job.resources, job.from_.uri, job.train.epochs or 0)


@pytest.mark.parametrize("case", [*ALLOWED, *REFUSED], ids=str)
def test_limits(case: Case) -> None:
    told = over_limit("narrow", NARROW, asked(case))
    assert bool(told) == bool(case.told)
    assert case.told.format("TrainingProfile narrow") in told


@pytest.mark.parametrize(("labels", "told"), NOT_OFFERED)
def test_namespaces(labels: dict[str, str], told: str) -> None:
    message = not_offered("spec.profile", "narrow", NARROW.namespaces, "team-a", labels)
    assert told in message and message.startswith("spec.profile is narrow: it is offered to namespaces with")
    assert not not_offered("spec.profile", "narrow", NARROW.namespaces, "team-a", {**GOLD, "more": "labels"})


@pytest.mark.parametrize("uri", FOREIGN)
def test_foreign(uri: str) -> None:
    assert layout.is_foreign("team-a", "modelyard", uri)


@pytest.mark.parametrize("uri", OWN)
def test_own(uri: str) -> None:
    assert not layout.is_foreign("team-a", "modelyard", uri)


def narrow() -> Built:
    return Built({**a_profile(), "spec": LIMITS})


def test_a_job_admitted_before_its_profile_waits_and_goes_on_when_it_may() -> None:
    harness = JobHarness(a_finetunejob(), narrow(), a_dataset().prepared())
    harness.facts["namespace_labels"] = {"tier": "gold"}
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.NOT_ALLOWED, True, [])
    assert "team=a, which team-a lacks" in harness.message
    harness.facts["namespace_labels"] = GOLD
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.WAITING_FOR_POD, False)


def test_labels_that_cannot_be_read_are_not_permission() -> None:
    harness = JobHarness(a_finetunejob(), narrow(), a_dataset().prepared())
    harness.facts["namespace_labels"] = Answer(reason=names.PENDING, message="no answer")
    harness.settle()
    assert (harness.named("Job"), harness.stalled) == ([], False)


def test_a_profile_without_labels_asks_for_none() -> None:
    harness = JobHarness()
    harness.settle()
    assert not [fact for fact in harness.asked if fact.name == "namespace_labels"]


def test_a_base_of_another_namespace_is_not_even_listed() -> None:
    base: dict[str, Any] = {"from": {"base": "s3://modelyard/ns/team-b/models/m/runs/1/version/"}}
    harness = JobHarness(a_finetunejob(**base))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.NOT_ALLOWED, True, [])
    assert "may only name ns/team-a/" in harness.message
    assert not [fact for fact in harness.asked if fact.name == "listing"]


def test_rows_of_another_namespace_in_a_forged_status() -> None:
    harness = JobHarness(a_finetunejob(), a_profile(), a_dataset().prepared(prefix="ns/team-b/datasets/reviews/1/"))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.NOT_ALLOWED, True, [])


@pytest.mark.parametrize("more", [{}, {"endpoint": "http://store:9000"}, {"secret": "mine"}], ids=str)
def test_a_source_of_another_namespace(more: dict[str, str]) -> None:
    source = {"s3": {"uri": "s3://modelyard/ns/team-b/datasets/x/", **more}}
    harness = Harness(dataset.RECONCILER, a_dataset(source=source), a_profile())
    harness.settle()
    assert (harness.reason, harness.named("Job")) == (names.NOT_ALLOWED, [])


def test_a_store_and_a_key_of_ones_own() -> None:
    source = {"s3": {"uri": "s3://modelyard/ns/team-b/x/", "endpoint": "http://mine:9000", "secret": "mine"}}
    harness = Harness(dataset.RECONCILER, a_dataset(source=source), a_profile())
    harness.settle()
    assert harness.named("Job")


def test_a_folder_of_too_many_files() -> None:
    harness = JobHarness()
    harness.facts["listing"] = Answer(reason=names.BASE_INVALID, message="there are more than 10000 files")
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.BASE_INVALID, True, [])
