"""What a run starts from: data, profile, base; what is missing is named, and goes on as soon as it is there."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Answer
from tests.builders import Built, a_dataset, a_finetunejob, a_listing, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness, started

INLINE = {
    "task": "text-classification",
    "source": {"inline": [{"text": "good", "label": "positive"}, {"text": "bad", "label": "negative"}]},
}
PROFILE, ROWS = a_profile(), a_dataset().prepared()

WAITS: list[tuple[str, list[Built], str, bool, str]] = [
    ("no dataset", [PROFILE], names.DATASET_NOT_FOUND, True, "there is no Dataset reviews in namespace team-a"),
    ("dataset at work", [PROFILE, a_dataset()], names.WAITING_FOR_DATASET, False, "Dataset reviews is being prepared"),
    ("old dataset", [PROFILE, ROWS.generation(2)], names.WAITING_FOR_DATASET, False, "Dataset reviews"),
    ("bad dataset", [PROFILE, a_dataset().failed()], names.DATASET_FAILED, True, "BadData: column stars is missing"),
    ("other task", [PROFILE, ROWS.but("spec.task", "ranking")], names.TASK_MISMATCH, True, "is for ranking"),
    ("no profile", [ROWS], names.PROFILE_NOT_FOUND, True, "no TrainingProfile default"),
    ("bad profile", [ROWS, a_profile(retries=-1)], names.INVALID_SPEC, True, "spec.retries"),
]


@pytest.mark.parametrize("case", WAITS, ids=[case[0] for case in WAITS])
def test_what_is_missing_is_named_and_waited_for(case: tuple[str, list[Built], str, bool, str]) -> None:
    _, others, reason, stalled, words = case
    harness = JobHarness(None, *others)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.status["phase"]) == (
        reason,
        stalled,
        "Stalled" if stalled else "Pending",
    )
    assert words in harness.message
    assert harness.named("Job") == []
    assert "run" not in harness.status
    harness.put(PROFILE, ROWS)
    harness.settle()
    assert (harness.reason, harness.stalled, len(harness.named("Job"))) == (names.WAITING_FOR_POD, False, 1)


GONE = Answer(reason=names.SOURCE_NOT_FOUND, message="no such bucket")
BASES: list[tuple[str, Any, str, bool, str]] = [
    ("empty", {"digest": "x", "files": []}, names.BASE_NOT_FOUND, True, "nothing under s3://base/minilm/"),
    ("no bucket", GONE, names.BASE_NOT_FOUND, True, "nothing under s3://base/minilm/"),
    (
        "pickle",
        a_listing("pytorch_model.bin", without="model.safetensors"),
        names.BASE_UNSAFE,
        True,
        "safe_serialization=True",
    ),
    ("no weights", a_listing(without="model.safetensors"), names.BASE_INVALID, True, "lacks *.safetensors"),
    ("no config", a_listing(without="config.json"), names.BASE_INVALID, True, "lacks config.json"),
    ("no tokenizer", a_listing("vocab.txt", without="tokenizer.json"), names.BASE_INVALID, True, "tokenizer.json"),
    (
        "store down",
        Answer(reason=names.STORE_UNAVAILABLE, message="no answer from http://store:9000"),
        names.STORE_UNAVAILABLE,
        False,
        "no answer",
    ),
    ("denied", Answer(reason=names.STORE_DENIED, message="key may not list"), names.STORE_DENIED, True, "may not"),
]


@pytest.mark.parametrize("case", BASES, ids=[case[0] for case in BASES])
def test_a_base_that_cannot_be_used_is_named_and_looked_at_again(case: tuple[str, Any, str, bool, str]) -> None:
    _, listing, reason, stalled, words = case
    harness = JobHarness()
    harness.facts["listing"] = listing
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (reason, stalled, [])
    assert words in harness.message
    assert harness.last.wake_after is not None and harness.last.wake_after <= 30
    harness.facts["listing"] = a_listing()
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_pickles_beside_safetensors_do_not_matter() -> None:
    harness = JobHarness()
    harness.facts["listing"] = a_listing("pytorch_model.bin")
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_an_outage_is_asked_about_later_and_later() -> None:
    harness, pauses = JobHarness(), []
    harness.facts["listing"] = Answer(reason=names.STORE_UNAVAILABLE, message="no answer")
    for _ in range(100):
        pauses.append(harness.go().wake_after or 0)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2, 20)
    assert harness.writes == 1


def test_what_needs_a_human_is_told_before_what_goes_on_by_itself() -> None:
    harness = JobHarness(None, a_profile(), a_dataset())
    harness.facts["listing"] = a_listing(without="config.json")
    harness.settle()
    assert harness.reason == names.BASE_INVALID


def test_no_image_anywhere_is_told() -> None:
    harness = JobHarness(None, a_profile(trainer={}), ROWS)
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD
    harness = JobHarness(None, a_profile(trainer={}), ROWS)
    harness.platform = type(harness.platform)()
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.IMAGE_PULL, True)
    assert "chart value image.trainer" in harness.message


def test_inline_data_becomes_an_owned_dataset_that_stays_listed() -> None:
    harness = JobHarness(a_finetunejob(dataset={"inline": INLINE}))
    harness.settle()
    (name,) = harness.named("Dataset")
    assert (harness.reason, name.startswith("reviews-data-")) == (names.WAITING_FOR_DATASET, True)
    harness.put(a_dataset(name, **INLINE).prepared().owned_by(harness.obj))
    harness.settle()
    assert (harness.reason, harness.named("Dataset")) == (names.WAITING_FOR_POD, [name])
    assert harness.run["pinned"]["dataset"]["name"] == name


INLINE_CHANGES = [({"resources": {"cpu": 2, "memory": "2Gi"}}, True), ({"revision": 2}, False)]


@pytest.mark.parametrize(("change", "same"), INLINE_CHANGES)
def test_an_inline_dataset_is_named_by_what_decides_its_rows(change: dict[str, Any], same: bool) -> None:
    harness = JobHarness(a_finetunejob(dataset={"inline": INLINE}))
    harness.settle()
    before = harness.named("Dataset")
    harness.edit(dataset={"inline": {**INLINE, **change}})
    harness.settle()
    assert (harness.named("Dataset") == before) is same
    assert len(harness.named("Dataset")) == 1


def test_a_refused_dataset_is_told() -> None:
    harness = JobHarness(a_finetunejob(dataset={"inline": INLINE}))
    harness.go()
    (name,) = harness.named("Dataset")
    harness.remove("Dataset", name)
    harness.refused = {("Dataset", name): "exceeded quota: datasets"}
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.QUOTA, True)


NAMES = [("x" * 41, False), ("with.dots", False), ("x" * 40, True), ("a", True)]


@pytest.mark.parametrize(("name", "fits"), NAMES)
def test_a_name_that_is_no_model_name_needs_one(name: str, fits: bool) -> None:
    harness = JobHarness(a_finetunejob(name))
    harness.settle()
    assert (harness.reason == names.NAME_TOO_LONG) is not fits
    named = JobHarness(a_finetunejob(name, model={"name": "reviews"}))
    named.settle()
    assert named.reason == names.WAITING_FOR_POD


@pytest.mark.parametrize("name", ["x" * 253, "with.dots." + "y" * 200])
def test_long_names_fit_with_inline_data_too(name: str) -> None:
    harness = JobHarness(a_finetunejob(name, model={"name": "m" * 40}, dataset={"inline": INLINE}))
    harness.go()
    (dataset,) = harness.named("Dataset")
    harness.put(a_dataset(dataset, **INLINE).prepared().owned_by(harness.obj))
    harness.settle()
    assert max(len(found) for found in (*harness.named("Job"), dataset)) <= 52


CLASSES = {
    **{key: {"train": 8, "validation": 1, "test": 1} for key in ("finance", "Error", "café")},
    "rare": {"train": 1, "validation": 0, "test": 0},
}


def asking(label: str) -> dict[str, Any]:
    return {"gate": {"require": [{"metric": "accuracy", "min": 0}, {"metric": "recall", "class": label, "min": 0}]}}


@pytest.mark.parametrize(
    "label", ["finance", "\ufb01nance", " finance ", "\uff25\uff52\uff52\uff4f\uff52", "cafe\u0301"]
)
def test_a_gate_may_name_a_class_in_another_unicode_form(label: str) -> None:
    harness = JobHarness(a_finetunejob(evaluate=asking(label)), PROFILE, ROWS.status(classes=CLASSES))
    harness.settle()
    assert (harness.reason, len(harness.named("Job"))) == (names.WAITING_FOR_POD, 1)


@pytest.mark.parametrize(("label", "meant"), [("error", "'Error'"), ("finances", "'finance'"), ("sports", "")])
def test_a_gate_of_a_class_that_is_not_there_is_said_before_training(label: str, meant: str) -> None:
    harness = JobHarness(a_finetunejob(evaluate=asking(label)), PROFILE, ROWS.status(classes=CLASSES))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.INVALID_SPEC, True, [])
    assert (
        f"spec.evaluate.gate.require[1].class: the rows of Dataset reviews have no class '{label}'" in harness.message
    )
    assert (f"did you mean {meant}?" in harness.message) is bool(meant)
    assert "Error, café, finance, rare" in harness.message
    harness.edit(evaluate=asking("Error"))
    harness.settle()
    assert (harness.stalled, len(harness.named("Job"))) == (False, 1)


def test_a_gate_of_a_class_without_test_rows_is_said_before_training() -> None:
    harness = JobHarness(a_finetunejob(evaluate=asking("rare")), PROFILE, ROWS.status(classes=CLASSES))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.INVALID_SPEC, True, [])
    assert "Dataset reviews has no test row of class 'rare'" in harness.message


def test_an_invalid_spec_is_told_and_nothing_is_touched() -> None:
    harness = started()
    run = harness.run
    harness.edit(task="juggling")
    harness.settle()
    assert (harness.reason, harness.stalled, harness.deaths, harness.run) == (names.INVALID_SPEC, True, 0, run)
    harness.edit(task="text-classification")
    harness.settle()
    assert (harness.reason, harness.run) == (names.WAITING_FOR_POD, run)
