from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.finetunejob import Gate
from modelyard.api.modelversion import Metrics
from modelyard.resources.quality_gate import judge


def metrics(**more: Any) -> Metrics:
    per_class = {
        "negative": {"precision": 0.8, "recall": 0.55, "f1": 0.65, "support": 40},
        "positive": {"precision": 0.9, "recall": 0.95, "f1": 0.92, "support": 60},
    }
    return Metrics.model_validate(
        {"macro_f1": 0.742, "accuracy": 0.81, "perClass": per_class, "exportDifference": 2e-6, **more}
    )


def gate(*require: dict[str, Any], **more: Any) -> Gate:
    return Gate.model_validate({"require": list(require), **more})


PASSED: list[dict[str, Any]] = [
    {"metric": "macro_f1", "min": 0.65},
    {"metric": "macro_f1", "min": 0.742},
    {"metric": "accuracy", "min": 0.81},
    {"metric": "precision", "class": "negative", "min": 0.8},
    {"metric": "recall", "class": "positive", "min": 0.9},
    {"metric": "f1", "class": "positive", "min": 0},
]
FAILED: list[dict[str, Any]] = [
    {"metric": "macro_f1", "min": 0.75},
    {"metric": "accuracy", "min": 0.9},
    {"metric": "recall", "class": "negative", "min": 0.6},
    {"metric": "recall", "class": "neutral", "min": 0.0},
    {"metric": "recall", "min": 0.0},
]


@pytest.mark.parametrize("requirement", PASSED)
def test_reached_passes(requirement: dict[str, Any]) -> None:
    assert judge(gate(requirement), metrics(), ["safetensors"]).gate == "passed"


@pytest.mark.parametrize("requirement", FAILED)
def test_below_fails(requirement: dict[str, Any]) -> None:
    assert judge(gate(requirement), metrics(), ["safetensors"]).gate == "failed"


@pytest.mark.parametrize("label", ["negative", " negative", "\uff4eegative"])
def test_a_class_is_found_in_another_unicode_form(label: str) -> None:
    assert judge(gate({"metric": "recall", "class": label, "min": 0.55}), metrics(), []).gate == "passed"


def test_the_class_as_it_is_written_comes_before_its_other_forms() -> None:
    one = metrics().per_class["negative"]
    both = metrics(perClass={"\ufb01n": one.model_copy(update={"recall": 0.1}), "fin": one})
    assert judge(gate({"metric": "recall", "class": "\ufb01n", "min": 0.5}), both, []).gate == "failed"
    assert judge(gate({"metric": "recall", "class": "fin", "min": 0.5}), both, []).gate == "passed"


def test_a_class_that_is_not_there_is_told_with_the_nearest() -> None:
    verdict = judge(gate({"metric": "recall", "class": "Negativ", "min": 0}), metrics(), [])
    assert verdict.gate == "failed"
    assert "no class 'Negativ' (did you mean 'negative'?); they have: negative, positive" in verdict.message


def test_one_of_many_fails_the_whole_and_comes_first() -> None:
    verdict = judge(
        gate({"metric": "macro_f1", "min": 0.65}, {"metric": "recall", "class": "negative", "min": 0.6}),
        metrics(),
        ["safetensors"],
    )
    assert verdict.gate == "failed"
    assert verdict.message == "recall of 'negative' 0.55 is below 0.6; macro_f1 0.742 reaches 0.65"


def test_unknown_class_is_named_with_the_known_ones() -> None:
    verdict = judge(gate({"metric": "f1", "class": "neutral", "min": 0.1}), metrics(), [])
    assert "'neutral'" in verdict.message
    assert "negative, positive" in verdict.message


@pytest.mark.parametrize(
    ("difference", "formats", "expected"),
    [
        (2e-6, ["safetensors", "onnx"], "passed"),
        (0.001, ["onnx"], "passed"),
        (0.0011, ["onnx"], "failed"),
        (None, ["onnx"], "failed"),
        (float("nan"), ["onnx"], "failed"),
        (9.0, ["safetensors"], "passed"),
        (None, ["safetensors"], "passed"),
    ],
)
def test_export_difference_counts_only_with_onnx(difference: float | None, formats: list[str], expected: str) -> None:
    assert judge(gate(), metrics(exportDifference=difference), formats).gate == expected


def test_not_a_number_never_passes() -> None:
    verdict = judge(gate({"metric": "macro_f1", "min": 0}), metrics(macro_f1=float("nan")), [])
    assert verdict.gate == "failed"


def test_rounding_never_prints_the_bound_as_missed() -> None:
    verdict = judge(gate({"metric": "macro_f1", "min": 0.65}), metrics(macro_f1=0.64996), [])
    assert verdict.message == "macro_f1 0.64996 is below 0.65"


def test_nothing_asked_passes() -> None:
    verdict = judge(gate(), metrics(), ["safetensors"])
    assert verdict.gate == "passed"
    assert "nothing" in verdict.message
