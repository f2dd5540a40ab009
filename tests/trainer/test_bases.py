"""Bases as people have them: their limits, fillers and tokenizers; what cannot work is refused before training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.hyperparameters import ResolvedInput, ResolvedLora
from modelyard.api.run import ExitCode
from modelyard.storage.fetch import fetch_verified
from modelyard_trainer import trial
from modelyard_trainer.base_config import length_of, limit_of, read_config
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.methods import lora
from modelyard_trainer.methods.protocols import Setting
from modelyard_trainer.tasks.texts import load_tokenizer, pad
from modelyard_trainer.vocabulary import pad_id_of
from tests.hyperparameters import completed
from tests.trainer.architectures import ARCHITECTURES, Architecture, edit, unigram, write
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.texts import load_model, token_ids

LABELS = ["bad", "good"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder per architecture; read only."""
    root = tmp_path_factory.mktemp("bases")
    return {name: write(architecture, root / name) for name, architecture in ARCHITECTURES.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_limit_is_the_longest_row_that_the_base_takes(bases: dict[str, Path], name: str) -> None:
    import torch

    limit = limit_of(read_config(bases[name]))
    assert limit == ARCHITECTURES[name].limit
    model, _ = load_model(bases[name], LABELS, 1)

    def answer(length: int) -> None:
        ids = torch.full((1, length), 7)
        ids[:, -1] = 2  # BART reads the row at its end token
        model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))

    answer(limit or 100)
    if name in ("bert", "roberta", "xlm-roberta", "gpt2", "opt", "bart", "albert", "distilbert", "electra"):
        with pytest.raises((IndexError, RuntimeError)):
            answer((limit or 100) + 1)


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"model_type": "bert"}, 512),  # the library's own value
        ({"model_type": "gpt2", "n_positions": 48}, 48),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlnet"}, None),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": True}, 512),
    ],
)
def test_names_of_the_limit(settings: dict[str, Any], limit: int | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert limit_of(read_config(tmp_path)) == limit


def length(asked: int | None, limit: int | None) -> int:
    """What a job that asks so gets from a base with that limit."""
    block = {} if asked is None else {"text": {"maxLength": asked}}
    found = completed({"task": "text-classification", "input": block})
    return length_of(ResolvedInput.model_validate(found["input"]), found["byRecipe"], limit)


def test_length() -> None:
    assert [length(None, limit) for limit in (64, 512, None)] == [64, 128, 128]
    asked = [length(64, 64), length(300, None)]
    assert asked == [64, 300]
    with pytest.raises(TrainerError, match=r"spec.input.text.maxLength is 65, but the base model takes at most 64"):
        length(65, 64)


@pytest.mark.parametrize(
    ("name", "changes", "extra", "token"),
    [
        ("bert", {}, {}, "[PAD]"),
        ("gpt2", {}, {}, "<|endoftext|>"),
        ("llama-3", {}, {}, "<|end_of_text|>"),  # the first of the list, not id 0, which is "!"
        ("llama-3", {"pad_token_id": 0}, {}, "<|end_of_text|>"),  # "!" as filler would hide a last "!"
        ("llama-3", {}, {"pad_token": "<|eot_id|>"}, "<|eot_id|>"),
        ("llama-3", {"eos_token_id": None}, {}, "<|begin_of_text|>"),
        ("qwen2", {}, {"pad_token": {"content": "<|endoftext|>"}}, "<|endoftext|>"),
        ("gpt_neox", {}, {}, "<|padding|>"),
        ("llama", {"pad_token_id": -1}, {}, "</s>"),
    ],
)
def test_filler(name: str, changes: dict[str, Any], extra: dict[str, Any], token: str, tmp_path: Path) -> None:
    folder = write(ARCHITECTURES[name], tmp_path)
    edit(folder, **changes)
    if extra:
        (folder / "tokenizer_config.json").write_text(json.dumps(extra))
    tokenizer, config = load_tokenizer(folder, 32), read_config(folder)
    found = pad_id_of(tokenizer, config, folder, config.vocab_size)
    assert tokenizer.id_to_token(found) == token


def test_no_filler_at_all(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 2, "eos_token_id": None}))
    with pytest.raises(TrainerError, match="add_special_tokens"):
        pad_id_of(load_tokenizer(tmp_path, 8), read_config(tmp_path), tmp_path, 2)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_special_tokens_in_a_text_are_text(bases: dict[str, Path], name: str) -> None:
    tokenizer = load_tokenizer(bases[name], 64)
    special = {number: token.content for number, token in tokenizer.get_added_tokens_decoder().items()}
    for token in [*special.values(), "</s>", "[SEP]", "<pad>", "<|endoftext|>"]:
        plain, odd = token_ids(tokenizer, ["a b", f"a {token} b{token}"])
        known = {number for number, text in special.items() if "unk" not in text.lower()}
        assert [n for n in odd if n in known] == [n for n in plain if n in known], token


def test_a_row_without_tokens(bases: dict[str, Path]) -> None:
    empty = token_ids(load_tokenizer(bases["gpt2"], 64), [""])
    assert empty == [[]]
    found = pad(empty, 9)
    assert (found["input_ids"].tolist(), found["attention_mask"].tolist()) == ([[9]], [[1]])


@pytest.mark.parametrize("targets", ["all-linear", "attention"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_lora_finds_layers(bases: dict[str, Path], name: str, targets: str) -> None:
    model, new = load_model(bases[name], LABELS, 1)
    fresh = sorted({weight.rpartition(".")[0] for weight in new})
    method = ResolvedLora(rank=8, alpha=16, dropout=0, targets=targets)
    adapted = lora.adapt(model, method, Setting(fresh, "SEQ_CLS", 1))
    layers = {weight.split(".lora_A")[0] for weight, _ in adapted.named_parameters() if ".lora_A" in weight}
    assert len(layers) >= 1
    assert targets == "all-linear" or all("attn" in layer.lower() or "attention" in layer.lower() for layer in layers)
    assert all(weight.requires_grad for path, weight in adapted.named_parameters() if "modules_to_save" in path)


def extra_pad(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens(["[PAD]"])
    tokenizer.save(str(folder / "tokenizer.json"))


def other_vocabulary(folder: Path) -> None:
    edit(folder, vocab_size=100)


def picture(folder: Path) -> None:
    edit(folder, model_type="vit", architectures=["ViTModel"])


def speech(folder: Path) -> None:
    edit(folder, model_type="whisper", architectures=["WhisperModel"])


def unheard_of(folder: Path) -> None:
    edit(folder, model_type="gpt-9")


def spm_only(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "spm.model")


def only_an_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "x"}')


def parts_of_a_pipeline(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (extra_pad, ["[PAD]", "model.resize_token_embeddings(", "spec.from.base"]),
        (other_vocabulary, ["belong to different models"]),
        (picture, ["'vit'", "text classifier", "spec.from.base"]),
        (speech, ["'whisper'", "text classifier", "spec.from.base"]),
        (unheard_of, ["'gpt-9'", "spec.from.base"]),
        (spm_only, ["spm.model", "AutoTokenizer.from_pretrained(", "save_pretrained("]),
        (only_an_adapter, ["adapter", "merge_and_unload()"]),
        (parts_of_a_pipeline, ["model_index.json", "text"]),
    ],
)
def test_refused_before_training(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path, spoil: Callable[[Path], None], parts: list[str]
) -> None:
    folder, name = write(ARCHITECTURES["gpt2"], tmp_path), spoil.__name__.replace("_", "-")
    spoil(folder)
    config = harness.train_config(f"refused-{name}", harness.put_folder(f"base/refused-{name}/", folder), dataset)
    code, outcome = harness.run(config)
    assert (code, outcome.stage) in ((ExitCode.BASE_INVALID, "load"), (ExitCode.BASE_INVALID, "fetch")), outcome
    for part in parts:
        assert part in outcome.message


def test_longer_than_the_base_takes(harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path) -> None:
    folder = write(ARCHITECTURES["gpt2"], tmp_path, n_positions=24)
    pin = harness.put_folder("base/gpt2-24/", folder)
    code, outcome = harness.run(harness.train_config("gpt2-24", pin, dataset, train={"epochs": 1}))
    assert (code, outcome.stage) == (ExitCode.BAD_CONFIG, "load")
    assert "spec.input.text.maxLength is 32, but the base model takes at most 24" in outcome.message


def test_a_format_that_a_type_cannot_take(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> None:
        raise RuntimeError("no ONNX function for aten::strange")

    monkeypatch.setattr(trial, "EXPORTS", frozenset())
    monkeypatch.setattr(trial, "write_onnx", cannot)
    pin = harness.put_folder("base/no-onnx/", write(ARCHITECTURES["bert"], tmp_path))
    code, outcome = harness.run(harness.train_config("no-onnx", pin, dataset))
    assert (code, outcome.stage) == (ExitCode.BAD_CONFIG, "load")
    for part in ("spec.export", "aten::strange", "[safetensors]", "'bert'"):
        assert part in outcome.message


def test_a_base_that_answers_by_its_neighbours(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path
) -> None:
    """XLNet reads the last place of a row, also where that is filler."""
    special = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>"]
    settings = {"d_model": 32, "n_layer": 1, "n_head": 2, "d_inner": 64, "pad_token_id": 5}
    pin = harness.put_folder(
        "base/xlnet/", write(Architecture("xlnet", unigram(special, "<sep>", "<cls>"), settings), tmp_path)
    )
    code, outcome = harness.run(harness.train_config("xlnet", pin, dataset))
    assert (code, outcome.stage) == (ExitCode.BASE_INVALID, "load"), outcome
    assert "in the same batch" in outcome.message


def test_a_head_of_other_classes_is_replaced(harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = write(ARCHITECTURES["bert"], tmp_path / "base")
    config = AutoConfig.from_pretrained(folder, num_labels=5, problem_type="multi_label_classification")
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    before = load_file(folder / "model.safetensors")["classifier.weight"]
    train = {"epochs": 1, "batchSize": 32}
    pin = harness.put_folder("base/bert-5/", folder)
    run = harness.train_config("bert-5", pin, dataset, train=train, method={"lora": {}}, export=["safetensors"])
    code, outcome = harness.run(run)
    assert code == ExitCode.PUBLISHED, outcome.message
    version = tmp_path / "version"
    fetch_verified(harness.store, BUCKET, layout.version_prefix(run.prefix), version)
    told = json.loads((version / "config.json").read_text())
    assert told["id2label"] == {"0": "bad", "1": "good", "2": "plain"}
    assert told["problem_type"] == "single_label_classification"
    head = load_file(version / "model.safetensors")["classifier.weight"]
    assert (tuple(before.shape), tuple(head.shape)) == ((5, 32), (3, 32))
    assert float(head.abs().max()) > 0 and bool(torch.isfinite(head).all())


def test_an_export_that_fails_at_the_end_is_not_tried_again(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Any) -> None:
        raise RuntimeError("no ONNX function for aten::strange")

    monkeypatch.setattr("modelyard_trainer.stages.export.write_onnx", cannot)
    pin = harness.put_folder("base/no-export/", write(ARCHITECTURES["bert"], tmp_path))
    train = {"epochs": 1, "batchSize": 64}
    code, outcome = harness.run(harness.train_config("no-export", pin, dataset, train=train))
    assert (code, outcome.stage) == (ExitCode.EXPORT_DIFFERS, "export")
    assert "aten::strange" in outcome.message and "spec.export" in outcome.message


@pytest.mark.full
def test_a_type_that_cannot_be_exported_is_trained_without(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path
) -> None:
    settings = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
    tokenizer = unigram(["<pad>", "</s>", "<unk>"], "</s>", "</s>")
    pin = harness.put_folder("base/t5/", write(Architecture("t5", tokenizer, settings), tmp_path))
    train = {"epochs": 1, "batchSize": 64}
    code, outcome = harness.run(harness.train_config("t5-onnx", pin, dataset, train=train))
    assert (code, outcome.stage) == (ExitCode.BAD_CONFIG, "load")
    assert "spec.export has onnx, but a model of type 't5' cannot be written as ONNX" in outcome.message
    code, outcome = harness.run(harness.train_config("t5", pin, dataset, train=train, export=["safetensors"]))
    assert code == ExitCode.PUBLISHED, outcome.message
