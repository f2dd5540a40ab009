"""What a folder is instead of a base model is named before any pod starts, with what helps."""

from __future__ import annotations

import pytest

from modelyard import names
from modelyard.api.base_folder import fault_of

WHOLE = ("config.json", "tokenizer.json", "model.safetensors")


@pytest.mark.parametrize(
    ("paths", "reason", "words"),
    [
        (("config.json", "spm.model", "model.safetensors"), names.BASE_INVALID, ["spm.model", "AutoTokenizer."]),
        (("config.json", "vocab.txt", "model.safetensors"), names.BASE_INVALID, ["vocab.txt", "save_pretrained("]),
        (("config.json", "model.safetensors"), names.BASE_INVALID, ["no tokenizer.json", "AutoTokenizer."]),
        (("adapter_config.json", "adapter_model.safetensors"), names.BASE_INVALID, ["merge_and_unload()"]),
        (("model_index.json", "unet/model.safetensors"), names.BASE_INVALID, ["model_index.json", "text model"]),
        (("config.json", "model.gguf"), names.BASE_INVALID, ["GGUF", "*.safetensors"]),
        (("config.json", "tokenizer.json", "pytorch_model.bin"), names.BASE_UNSAFE, ["pytorch_model.bin"]),
        (("config.json", "tokenizer.json", "onnx/model.safetensors"), names.BASE_INVALID, ["lacks *.safetensors"]),
        (("tokenizer.json", "model.safetensors"), names.BASE_INVALID, ["lacks config.json"]),
    ],
)
def test_what_it_is_instead(paths: tuple[str, ...], reason: str, words: list[str]) -> None:
    found = fault_of("s3://base/x/", paths)
    assert found is not None and found[0] == reason
    for word in ("spec.from.base", "s3://base/x/", *words):
        assert word in found[1]


@pytest.mark.parametrize("more", [(), ("pytorch_model.bin",), ("spm.model",), ("adapter_config.json",)])
def test_what_may_be_a_base(more: tuple[str, ...]) -> None:
    assert fault_of("s3://base/x/", (*WHOLE, *more)) is None
