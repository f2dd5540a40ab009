"""Objects that a newer release wrote: what is not known is no fault and stays, what is not understood is left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from modelyard import names
from modelyard.engine.apply import merge_patch, status_schema
from modelyard.resources.dataset import RECONCILER as DATASET
from modelyard.resources.parse import UnknownStatusError
from tests.builders import Built, a_dataset, a_profile, published_rows
from tests.unit.resources.finetunejob.harness import JobHarness, started, succeeded, training
from tests.unit.resources.harness import Harness

DRIFTED = {
    "type": "Drifted",
    "status": "True",
    "reason": "NewRows",
    "message": "x",
    "lastTransitionTime": "2026-01-01",
}


def changed(harness: Harness, path: str, value: Any) -> None:
    """Another release has written a field, by dotted path; the generation stays, as with a default of the CRD."""
    harness.obj = Built(harness.obj).but(path, value)


def prepared() -> Harness:
    harness = Harness(DATASET, a_dataset(), a_profile())
    harness.facts["manifest"] = published_rows()
    harness.settle()
    return harness


@pytest.mark.parametrize("make", [started, training, succeeded, prepared])
@pytest.mark.parametrize("path", ["spec.later", "spec.resources.later"])
def test_a_field_that_came_by_default_changes_nothing(make: Any, path: str) -> None:
    harness = make()
    writes, children = harness.writes, sorted(harness.children)
    changed(harness, path, {"to": 1})
    harness.settle()
    assert (harness.writes, sorted(harness.children)) == (writes, children)


@pytest.mark.parametrize("path", ["spec.later", "spec.train.later", "spec.evaluate.gate.later"])
def test_nothing_begins_with_a_field_that_is_not_known(path: str) -> None:
    harness = JobHarness()
    changed(harness, path, 1)
    harness.settle()
    assert (harness.reason, harness.status["phase"], harness.named("Job")) == (names.INVALID_SPEC, "Stalled", [])
    assert f"{path}: not known to this release of the operator" in harness.ready["message"]
    changed(harness, path, None)
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_rows_are_not_prepared_without_a_step_that_is_not_known() -> None:
    harness = Harness(DATASET, a_dataset(), a_profile())
    changed(harness, "spec.source.later", "x")
    harness.settle()
    assert harness.reason == names.INVALID_SPEC and not harness.named("Job")
    assert "spec.source.later" in harness.ready["message"]


def test_the_run_goes_on_where_the_next_one_would_not_begin() -> None:
    harness = training()
    changed(harness, "spec.later", 1)
    harness.finish()
    assert harness.status["version"] == "reviews-7"
    harness.edit(attempt=2)
    harness.settle()
    assert harness.reason == names.INVALID_SPEC and harness.status["version"] == "reviews-7"


@pytest.mark.parametrize("path", ["status.run.state", "status.gate"])
def test_a_word_that_is_not_understood_never_reads_as_nothing(path: str) -> None:
    harness = succeeded()
    before = copy.deepcopy(harness.children)
    changed(harness, path, "quarantined")
    with pytest.raises(UnknownStatusError, match=f"reviews is left alone.*{path}.*newer release"):
        harness.go()
    assert harness.children == before


def test_conditions_of_others_stay() -> None:
    harness = training()
    changed(harness, "status.conditions", [*harness.status["conditions"], DRIFTED])
    harness.finish()
    assert [c["type"] for c in harness.status["conditions"]] == ["Ready", "Drifted"]
    assert harness.status["conditions"][-1]["lastTransitionTime"] == "2026-01-01"


PATCHES: list[tuple[Any, Any, Any]] = [
    ({"phase": "a", "later": 1}, {"phase": "b"}, {"phase": "b"}),
    ({"phase": "a", "gate": "passed"}, {"phase": "a"}, {"gate": None}),
    ({"run": {"id": "1", "later": {"x": 1}}}, {"run": {"id": "1"}}, {}),
    ({"run": {"id": "1", "failure": {"reason": "A"}}}, {"run": {"id": "1"}}, {"run": {"failure": None}}),
    ({"run": {"id": "1", "later": 1}}, {}, {"run": None}),
]


@pytest.mark.parametrize(("old", "new", "patch"), PATCHES)
def test_a_status_keeps_what_is_not_ours(old: Any, new: Any, patch: Any) -> None:
    assert merge_patch(old, new, status_schema("FineTuneJob")) == patch


def test_entries_of_a_map_are_ours() -> None:
    old, new = {"classes": {"a": {"train": 1}, "b": {"train": 2}}}, {"classes": {"a": {"train": 1}}}
    assert merge_patch(old, new, status_schema("Dataset")) == {"classes": {"b": None}}
