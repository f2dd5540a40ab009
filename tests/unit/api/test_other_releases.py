"""What another release wrote is read without error; tests/unit/resources/test_newer_release.py has what stays."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.api.common import StatusModel
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.api.run import FileEntry, Manifest, ModelInfo, RunReport, format_digest
from modelyard.names import API_VERSION
from modelyard.resources.conditions import Verdict
from modelyard.resources.parse import spec_of
from tests.builders import a_published_model
from tests.builders_serving import a_ready_version

STRANGE: dict[str, Any] = {"confidence": {"low": 0.1, "all": [1, 2]}}


def everywhere(value: Any) -> Any:
    """The same with an unknown field in every object that has fields of its own."""
    if isinstance(value, list):
        return [everywhere(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: item if key in ("values", "perClass", "codec", "sample") else everywhere(item)
        for key, item in value.items()
    } | STRANGE


METRICS: list[dict[str, Any]] = [
    {"set": "test", "primary": "bleu", "values": {"bleu": 31.5, "chrf": 55.0}, "perClass": {"a": {"iou": 0.5}}},
    {"set": "stress", "primary": "wer", "values": {"wer": 0.2}},
]
EXPORTS: list[dict[str, Any]] = [
    {"format": "gguf", "precision": "int4", "difference": 0.3},
    {"format": "onnx", "precision": "fp16"},
]
INFO = {**a_published_model("run-1")["manifest"]["info"], "metrics": METRICS, "artifacts": EXPORTS}
REPORT = {"run": "run-1", "outcome": {"outcome": "published"}, "metrics": METRICS}
VERSION = {
    **a_ready_version()["spec"],
    "metrics": METRICS,
    "artifacts": [{**export, "digest": "sha256:" + "1" * 64} for export in EXPORTS],
}
MANIFEST = {"kind": "model", "files": [{"path": "a.gguf", "size": 3, "sha256": "0" * 64}], "info": everywhere(INFO)}


@pytest.mark.parametrize(
    ("model", "content"),
    [(ModelInfo, INFO), (RunReport, REPORT), (ModelVersionSpec, VERSION), (Manifest, MANIFEST)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_known_is_passed_over(model: type[StatusModel], content: dict[str, Any]) -> None:
    read = model.model_validate(everywhere(content))
    assert read == model.model_validate(content) or model is Manifest
    if isinstance(read, ModelInfo | RunReport | ModelVersionSpec):
        told = {found.set_: found.headline for found in read.metrics}
        assert told == {"test": "bleu 31.500", "stress": "wer 0.200"}
    if isinstance(read, Manifest):
        assert read.info == everywhere(everywhere(INFO))


def test_a_version_of_another_release_is_read_as_a_version() -> None:
    obj = {"apiVersion": API_VERSION, "kind": "ModelVersion", "spec": everywhere(VERSION)}
    spec = spec_of(ModelVersionSpec, obj)
    assert not isinstance(spec, Verdict)
    assert spec.formats == ["gguf", "onnx"]


def test_lineage_of_another_way_names_no_run() -> None:
    spec = ModelVersionSpec.model_validate({**VERSION, "lineage": {"imported": {"uri": "s3://elsewhere/"}}})
    assert (spec.run, spec.job) == ("", "")


def files(**sha256: str) -> list[FileEntry]:
    return [FileEntry(path=path.replace("_", "."), size=1, sha256=value) for path, value in sha256.items()]


def test_a_format_has_the_digest_of_what_its_reader_needs() -> None:
    both = files(model_onnx="1", model_safetensors="2", tokenizer_json="3", report_json="4")
    onnx, torch = format_digest(both, "onnx"), format_digest(both, "safetensors")
    assert onnx != torch
    assert format_digest(reversed(both), "onnx") == onnx
    assert format_digest(files(tokenizer_json="3", model_onnx="1"), "onnx") == onnx
    for other in (
        files(model_onnx="9", tokenizer_json="3"),
        files(model_onnx="1", tokenizer_json="9"),
        files(model_onnx="1", tokenizer_json="3", model_onnx_data="9"),
    ):
        assert format_digest(other, "onnx") != onnx
    changed = files(model_onnx="1", model_safetensors="9", tokenizer_json="3", report_json="9")
    assert format_digest(changed, "onnx") == onnx
