from __future__ import annotations

import pytest

from modelyard import names
from modelyard.decision import Manifest
from tests.builders import artifacts
from tests.builders_serving import (
    a_modeldeployment,
    a_modelversion,
    a_ready_version,
    a_stalled_version,
    deleting,
)
from tests.unit.resources.modeldeployment.harness import ServingHarness


def harness(*versions: Manifest, obj: Manifest | None = None, serving: int | None = None) -> ServingHarness:
    if serving is None:
        return ServingHarness(*versions, versions=[], obj=obj)
    found = ServingHarness(versions=[serving])
    found.go_live(serving)
    found.remove("ModelVersion")
    found.put(*versions)
    found.edit(obj or a_modeldeployment())
    return found


P, F, U = "passed", "failed", "unjudged"


@pytest.mark.parametrize(
    ("versions", "candidate"),
    [
        ([a_ready_version(7)], 7),
        ([a_ready_version(6), a_ready_version(7)], 7),
        ([a_ready_version(9), a_ready_version(10)], 10),
        ([a_ready_version(6), a_ready_version(7, F)], 6),
        ([a_ready_version(6), a_ready_version(7, U)], 6),
        ([a_ready_version(6), a_stalled_version(7)], 6),
        ([a_ready_version(6), a_modelversion(7)], 6),
        ([a_ready_version(6), deleting(a_ready_version(7), "x")], 6),
    ],
)
def test_follow_takes_the_highest_ready_and_passed(versions: list[Manifest], candidate: int) -> None:
    w = harness(*versions)
    w.turn()
    assert w.candidate == candidate


@pytest.mark.parametrize(
    ("versions", "reason", "stalled", "text"),
    [
        ([], names.WAITING_FOR_VERSION, False, "no version yet"),
        ([a_modelversion(1)], names.WAITING_FOR_VERSION, False, "version 1 of model reviews is not verified"),
        ([a_ready_version(6, F), a_ready_version(7, F)], names.NO_VERSION, True, "highest, 7, has failed its gate"),
        ([a_ready_version(7, U)], names.NO_VERSION, True, "7, is unjudged"),
        ([a_stalled_version(7)], names.NO_VERSION, True, "7, is not Ready: model.onnx differs"),
        ([deleting(a_ready_version(7), "x")], names.NO_VERSION, True, "7, is being deleted"),
    ],
)
def test_follow_without_a_passed_version(versions: list[Manifest], reason: str, stalled: bool, text: str) -> None:
    w = harness(*versions)
    w.turn()
    assert w.word(names.READY) == ("False", reason)
    assert (w.word(names.STALLED) is not None) is stalled
    assert (w.word(names.RECONCILING) is not None) is not stalled
    assert text in w.message_of(names.READY)
    assert not w.children


@pytest.mark.parametrize(
    ("version", "reason", "stalled"),
    [
        (None, names.VERSION_NOT_FOUND, True),
        (a_modelversion(7), names.WAITING_FOR_VERSION, False),
        (a_stalled_version(7), names.VERSION_NOT_READY, True),
        (a_stalled_version(7, reason=names.NOT_CLAIMED), names.VERSION_NOT_READY, True),
        (deleting(a_ready_version(7), "x"), names.VERSION_NOT_READY, True),
        (a_ready_version(7, artifacts=artifacts("safetensors")), names.FORMAT_MISSING, True),
        (a_ready_version(7, task="custom"), names.SERVER_MISSING, True),
    ],
)
def test_pin_that_cannot_be_served(version: Manifest | None, reason: str, stalled: bool) -> None:
    w = harness(*[a_ready_version(6), *([version] if version else [])], obj=a_modeldeployment(version=7))
    w.turn()
    assert w.word(names.READY) == ("False", reason)
    assert (w.word(names.STALLED) is not None) is stalled
    assert not w.children


@pytest.mark.parametrize("version", [None, 7])
def test_a_version_that_nothing_can_serve_takes_nothing_from_what_serves(version: int | None) -> None:
    w = harness(a_ready_version(6), a_ready_version(7, task="custom"), obj=a_modeldeployment(version), serving=6)
    w.turn()
    assert (w.word(names.READY), w.word(names.STALLED)) == (("True", names.SERVING), ("True", names.SERVER_MISSING))
    told = w.message_of(names.STALLED)
    assert "version 7 of model reviews is of task custom" in told and "s3://" in told
    assert (w.serving, w.candidate, w.traffic, w.has(6)) == (6, None, "6", True)


@pytest.mark.parametrize("gate", [P, F, U])
def test_pin_is_a_human_word_about_the_gate(gate: str) -> None:
    w = harness(a_ready_version(7, gate), obj=a_modeldeployment(version=7))
    w.turn()
    assert w.candidate == 7


def test_no_onnx_names_the_remedy() -> None:
    w = harness(a_ready_version(7, artifacts=artifacts("safetensors")))
    w.turn()
    assert "add onnx to spec.export of FineTuneJob reviews-job" in w.message_of(names.STALLED)


def test_missing_pin_names_what_there_is() -> None:
    w = harness(a_ready_version(5), a_ready_version(6), obj=a_modeldeployment(version=7))
    w.turn()
    assert "reviews-7 does not exist (there are: 5, 6)" in w.message_of(names.STALLED)


def in_a_namespace_of(characters: int) -> ServingHarness:
    obj, version = a_modeldeployment(name="a" * 36), a_ready_version(7)
    for made in (obj, version):
        made["metadata"]["namespace"] = "n" * characters
    w = harness(version, obj=obj)
    w.turn()
    return w


def test_long_name_is_refused_with_the_count() -> None:
    w = in_a_namespace_of(14)
    assert w.word(names.STALLED) == ("True", names.NAME_TOO_LONG)
    assert "53 characters" in w.message_of(names.STALLED)
    assert "1 shorter" in w.message_of(names.STALLED)


def test_longest_name_is_allowed() -> None:
    w = in_a_namespace_of(13)
    assert w.candidate == 7


@pytest.mark.parametrize(
    ("versions", "candidate"),
    [
        ([a_ready_version(6), a_ready_version(7)], None),
        ([a_ready_version(6)], None),
        ([a_ready_version(6), a_modelversion(7)], None),
        ([a_ready_version(6), a_ready_version(7, U)], None),
        ([a_ready_version(6), a_ready_version(7, F)], 6),
        ([a_ready_version(6), a_stalled_version(7)], 6),
        ([a_ready_version(6), deleting(a_ready_version(7), "x")], 6),
        ([a_ready_version(7), a_ready_version(8)], 8),
        ([a_ready_version(8)], 8),
        ([a_ready_version(7), a_ready_version(8, F)], None),
        ([a_ready_version(7), a_modelversion(8)], None),
        ([], None),
    ],
)
def test_follow_moves_down_only_from_a_rejected_version(versions: list[Manifest], candidate: int | None) -> None:
    w = harness(*versions, serving=7)
    w.turn()
    assert w.candidate == candidate
    assert w.serving == 7
    assert w.traffic == "7"
    assert w.word(names.READY) == ("True", names.SERVING)


@pytest.mark.parametrize("gone", [a_stalled_version(7), deleting(a_ready_version(7), "x"), a_modelversion(7), None])
def test_pinned_and_serving_goes_on_whatever_becomes_of_its_object(gone: Manifest | None) -> None:
    w = harness(*([gone] if gone else []), obj=a_modeldeployment(version=7), serving=7)
    changes = w.births + w.changes
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.STALLED) is None
    assert w.births + w.changes == changes


def test_rejected_without_a_better_one_serves_on_and_says_so() -> None:
    w = harness(a_ready_version(7, F), serving=7)
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.STALLED) == ("True", names.NO_VERSION)


def test_server_and_version_both_gone_follows_down() -> None:
    w = harness(a_ready_version(6), serving=7)
    w.remove("Deployment", "reviews-v7")
    w.turn()
    assert w.candidate == 6


def test_server_and_pinned_version_both_gone_is_said() -> None:
    w = harness(a_ready_version(6), obj=a_modeldeployment(version=7), serving=7)
    w.remove("Deployment", "reviews-v7")
    w.turn()
    assert w.word(names.READY) == ("False", names.VERSION_NOT_FOUND)
    assert w.word(names.STALLED) is not None


def test_pin_to_a_missing_version_leaves_the_serving_one_alone() -> None:
    w = harness(a_ready_version(7), obj=a_modeldeployment(version=9), serving=7)
    w.turn()
    assert w.word(names.READY) == ("True", names.SERVING)
    assert w.word(names.STALLED) == ("True", names.VERSION_NOT_FOUND)
    assert w.traffic == "7"
