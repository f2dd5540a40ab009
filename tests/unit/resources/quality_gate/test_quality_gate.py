from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.gate import Gate
from modelyard.api.modelversion import Artifact, ModelVersionSpec
from modelyard.resources.quality_gate import judge
from tests.builders import artifacts
from tests.builders_serving import a_modelversion

CLASSES = {
    "negative": {"precision": 0.8, "recall": 0.55, "f1": 0.65, "support": 40},
    "positive": {"precision": 0.9, "recall": 0.95, "f1": 0.92, "support": 60},
}
VALUES = {"macro_f1": 0.742, "accuracy": 0.81, "perplexity": 7.5}


def version(
    *formats: str,
    values: dict[str, float] = VALUES,
    per_class: dict[str, dict[str, float]] = CLASSES,
    difference: float | None = 2e-6,
) -> ModelVersionSpec:
    tested = {"set": "test", "primary": "macro_f1", "values": values, "perClass": per_class}
    spec = a_modelversion(artifacts=artifacts(*formats or ["safetensors"], difference=difference), metrics=[tested])
    return ModelVersionSpec.model_validate(spec["spec"])


def gate(*require: dict[str, Any], **more: Any) -> Gate:
    return Gate.model_validate({"require": list(require), **more})


PASSED: list[dict[str, Any]] = [
    {"metric": "macro_f1", "min": 0.65},
    {"metric": "macro_f1", "min": 0.742},
    {"metric": "accuracy", "min": 0.81},
    {"metric": "precision", "class": "negative", "min": 0.8},
    {"metric": "recall", "class": "positive", "min": 0.9},
    {"metric": "f1", "class": "positive", "min": 0},
    {"metric": "perplexity", "max": 7.5},
]
FAILED: list[dict[str, Any]] = [
    {"metric": "macro_f1", "min": 0.75},
    {"metric": "accuracy", "min": 0.9},
    {"metric": "recall", "class": "negative", "min": 0.6},
    {"metric": "recall", "class": "neutral", "min": 0.0},
    {"metric": "recall", "min": 0.0},
    {"metric": "perplexity", "max": 7.4},
    {"metric": "bleu", "min": 0},
    {"metric": "bleu", "class": "negative", "min": 0},
    {"metric": "accuracy"},
]


@pytest.mark.parametrize("requirement", PASSED)
def test_reached_passes(requirement: dict[str, Any]) -> None:
    assert judge(gate(requirement), version()).gate == "passed"


@pytest.mark.parametrize("requirement", FAILED)
def test_below_fails(requirement: dict[str, Any]) -> None:
    assert judge(gate(requirement), version()).gate == "failed"


@pytest.mark.parametrize("label", ["negative", " negative", "\uff4eegative"])
def test_a_class_is_found_in_another_unicode_form(label: str) -> None:
    assert judge(gate({"metric": "recall", "class": label, "min": 0.55}), version()).gate == "passed"


def test_the_class_as_it_is_written_comes_before_its_other_forms() -> None:
    one = CLASSES["negative"]
    both = version(per_class={"\ufb01n": {**one, "recall": 0.1}, "fin": one})
    assert judge(gate({"metric": "recall", "class": "\ufb01n", "min": 0.5}), both).gate == "failed"
    assert judge(gate({"metric": "recall", "class": "fin", "min": 0.5}), both).gate == "passed"


def test_a_class_that_is_not_there_is_told_with_the_nearest() -> None:
    verdict = judge(gate({"metric": "recall", "class": "Negativ", "min": 0}), version())
    assert verdict.gate == "failed"
    assert "no class 'Negativ' (did you mean 'negative'?); they have: negative, positive" in verdict.message


def test_one_of_many_fails_the_whole_and_comes_first() -> None:
    verdict = judge(
        gate({"metric": "macro_f1", "min": 0.65}, {"metric": "recall", "class": "negative", "min": 0.6}),
        version(),
    )
    assert verdict.gate == "failed"
    assert verdict.message == "recall of 'negative' 0.55 is below 0.6; macro_f1 0.742 reaches 0.65"


def test_unknown_class_is_named_with_the_known_ones() -> None:
    verdict = judge(gate({"metric": "f1", "class": "neutral", "min": 0.1}), version())
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
        (None, ["safetensors", "gguf"], "passed"),
    ],
)
def test_export_difference_counts_only_with_onnx(difference: float | None, formats: list[str], expected: str) -> None:
    assert judge(gate(), version(*formats, difference=difference)).gate == expected


def test_not_a_number_never_passes() -> None:
    verdict = judge(gate({"metric": "macro_f1", "min": 0}), version(values={"macro_f1": float("nan")}))
    assert verdict.gate == "failed"


def test_rounding_never_prints_the_bound_as_missed() -> None:
    verdict = judge(gate({"metric": "macro_f1", "min": 0.65}), version(values={"macro_f1": 0.64996}))
    assert verdict.message == "macro_f1 0.64996 is below 0.65"


def test_nothing_asked_passes() -> None:
    verdict = judge(gate(), version())
    assert verdict.gate == "passed"
    assert "nothing" in verdict.message


def test_a_metric_that_was_not_measured_is_named_with_those_that_were() -> None:
    verdict = judge(gate({"metric": "bleu", "min": 0.1}), version())
    assert verdict.message == (
        "bleu was asked, but evaluate.gate.require: it was not measured; there are: accuracy, macro_f1, perplexity"
    )


def test_a_largest_value_is_told_as_one() -> None:
    assert judge(gate({"metric": "perplexity", "max": 7}), version()).message == "perplexity 7.5 is above 7"
    nan = version(values={"perplexity": float("nan")})
    assert judge(gate({"metric": "perplexity", "max": 7}), nan).gate == "failed"


def test_a_version_that_nobody_measured_reaches_nothing() -> None:
    unmeasured = ModelVersionSpec.model_validate(a_modelversion(metrics=[])["spec"])
    assert judge(gate({"metric": "accuracy", "min": 0}), unmeasured).gate == "failed"


def test_a_format_of_another_release_is_judged_if_it_was_compared() -> None:
    known = version().model_copy(update={"artifacts": [Artifact.model_validate({**GGUF, "difference": 0.5})]})
    assert "difference between torch and gguf 0.5 is above 0.001" in judge(gate(), known).message


GGUF = {"format": "gguf", "precision": "int4", "digest": "sha256:" + "1" * 64}


FREE = {"rmse": 3.5e7, "r2": -0.25, "tiny": 1e-9}


def own_task(*formats: str, difference: float | None = None) -> ModelVersionSpec:
    """A version of a task that only its trainer knows."""
    return version(*formats, values=FREE, difference=difference).model_copy(update={"task": "custom"})


@pytest.mark.parametrize(
    ("requirement", "passes"),
    [
        ({"metric": "rmse", "max": 3.5e7}, True),
        ({"metric": "rmse", "max": 3.4e7}, False),
        ({"metric": "rmse", "min": 0}, True),
        ({"metric": "r2", "min": -0.25}, True),
        ({"metric": "r2", "max": -0.3}, False),
        ({"metric": "tiny", "max": 1e-9}, True),
        ({"metric": "recall", "class": "negative", "min": 0.5}, True),
    ],
)
def test_of_a_task_of_its_own_the_bound_says_what_is_better(requirement: dict[str, Any], passes: bool) -> None:
    assert judge(gate(requirement), own_task()).gate == ("passed" if passes else "failed")


def test_a_metric_that_was_never_reported_is_named_with_those_that_were() -> None:
    verdict = judge(gate({"metric": "wer", "max": 1}), own_task())
    assert verdict.gate == "failed"
    assert verdict.message.startswith("wer was asked") and verdict.message.endswith("there are: r2, rmse, tiny")


def test_a_foreign_format_is_compared_only_if_it_was_measured() -> None:
    assert judge(gate(), own_task("onnx", "joblib")).gate == "passed"
    assert judge(gate(), own_task("onnx", difference=0.5)).gate == "failed"
    assert judge(gate(), version("onnx", difference=None)).gate == "failed"
