"""Each method learns, trains what it says and nothing else, leaves a plain model, and survives the death of its pod."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load, load_file

from modelyard.api import layout
from modelyard.api.run import ExitCode
from modelyard_trainer.methods import METHODS, method_named
from modelyard_trainer.methods.protocols import Setting
from tests.hyperparameters import resolved_method
from tests.trainer.architectures import ARCHITECTURES, write
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.test_exact_resume import Trained, in_child

RATES = {"head": 2e-2, "layerNorm": 1e-2, "ia3": 2e-2, "adaLora": 1e-2, "lora": 1e-2, "full": 1e-3}
TRAIN = {"epochs": 3, "batchSize": 16, "precision": "fp32", "linearProbe": False}
OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {name: {}} for name in ("head", "layerNorm", "ia3", "adaLora")},
    "dora": {"lora": {"dora": True}},
    "rsLora": {"lora": {"rsLora": True, "rank": 4}},
    "frozenLayers": {"full": {"frozenLayers": 1}},
    "layerDecay": {"full": {"layerDecay": 0.5}},
}
OFTEN = ("layerNorm", "ia3", "adaLora")
CASES = [pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.full]) for name in OPTIONS]
UNCHANGED = {
    "head": ("embeddings", "encoder"),
    "layerNorm": ("word_embeddings", "dense.weight", "query", "key", "value"),
    "ia3": ("embeddings", "query"),
    "adaLora": ("embeddings", "LayerNorm"),
    "dora": ("embeddings", "LayerNorm"),
    "rsLora": ("embeddings", "LayerNorm"),
    "frozenLayers": ("embeddings", "layer.0."),
    "layerDecay": (),
}
"""Parts of the names of weights of the encoder that a version has exactly as the base has them."""


@pytest.mark.parametrize("name", CASES)
def test_learns_and_changes_only_what_it_says(
    harness: TrainerHarness, base: dict[str, str], base_folder: Path, dataset: dict[str, str], name: str
) -> None:
    [kind] = OPTIONS[name]
    train = {**TRAIN, "learningRate": RATES[kind]}
    config = harness.train_config(f"method-{name}".lower(), base, dataset, method=OPTIONS[name], train=train)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    report = harness.report(config)
    [found] = report.metrics
    assert found.values["macro_f1"] > report.baselines["majority"] + 0.3
    assert report.train["method"] == kind and report.train["trainable_parameters"] > 0
    version = layout.version_prefix(config.prefix)
    weights = load(harness.store.get(BUCKET, harness.file_key(version, "model.safetensors")))
    before = {f"bert.{name}": value for name, value in load_file(base_folder / "model.safetensors").items()}
    assert set(weights) == {*before, "classifier.weight", "classifier.bias"}, "a plain model, merged"
    same = {key for key, value in before.items() if np.array_equal(value, weights[key])}
    still = {key for key in before if any(part in key for part in UNCHANGED[name])}
    assert still <= same
    changed = {key for key in before if key not in same and "pooler" not in key}
    assert bool(changed) is (name != "head")


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "roberta", "distilbert", "deberta-v2", "modernbert"])
@pytest.mark.parametrize("name", [*OPTIONS])
def test_takes_hold_of_any_architecture(architecture: str, name: str, tmp_path: Path) -> None:
    """After two steps what is left is a plain model with the same answers."""
    from transformers import AutoModelForSequenceClassification

    folder = write(ARCHITECTURES[architecture], tmp_path)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32)
    model.config.pad_token_id = 0
    plain, [kind] = {key for key, _ in model.named_parameters()}, OPTIONS[name]
    how = resolved_method(OPTIONS[name])
    module = method_named(kind)
    model = module.adapt(model, how.block, Setting(["score", "classifier"], "SEQ_CLS", 4))
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "attention_mask": torch.ones(1, 4, dtype=torch.int64)}
    model.train()
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for step in (1, 2):
        model(**inputs, labels=torch.tensor([1])).loss.backward()
        optimizer.step()
        module.after_step(model, step)
        optimizer.zero_grad()
    model.eval()
    with torch.no_grad():
        trained = model(**inputs).logits
        model = module.finish(model)
        assert torch.allclose(model(**inputs).logits, trained, atol=1e-4)
    assert {key for key, _ in model.named_parameters()} == plain


def test_rates_fall_from_layer_to_layer(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    for architecture in ("roberta", "gpt2", "llama"):
        folder = write(ARCHITECTURES[architecture], tmp_path / architecture)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32)
        method = resolved_method({"full": {"layerDecay": 0.5}}).block
        rates = method_named("full").rates(model, method)
        layers = model.config.num_hidden_layers
        by_part = {name: rates[name] for name, _ in model.named_parameters()}
        head = [rate for name, rate in by_part.items() if name.startswith(("classifier", "score"))]
        below = [rate for name, rate in by_part.items() if "embed" in name or ".wte." in name or ".wpe." in name]
        assert head and set(head) == {1.0}, architecture
        assert below and set(below) == {0.5 ** (layers + 1)}, architecture
        for number in range(layers):
            inside = {rate for name, rate in by_part.items() if f".{number}." in name and name not in head}
            assert 0.5 ** (layers - number) in inside


def test_layer_rates_reach_the_optimizer(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelyard_trainer.stages import train

    seen: list[Any] = []
    run = train._run

    def see(run_: Any, loop: Any, found: Any) -> None:
        run(run_, loop, found)
        seen.append(loop)

    monkeypatch.setattr(train, "_run", see)
    settings = {**TRAIN, "epochs": 1, "learningRate": 1e-3, "weightDecay": 0.1}
    method = {"full": {"layerDecay": 0.5}}
    config = harness.train_config("layer-rates", base, dataset, method=method, train=settings)
    assert harness.run(config)[0] == ExitCode.PUBLISHED
    groups = seen[0].optimizer.param_groups
    rates = sorted({round(group["initial_lr"], 9) for group in groups})
    assert rates == [1.25e-4, 2.5e-4, 5e-4, 1e-3]  # embeddings, two layers, pooler and classifier
    assert {group["weight_decay"] for group in groups} == {0.0, 0.1}
    trained = [weight for weight in seen[0].model.parameters() if weight.requires_grad]
    assert sum(len(group["params"]) for group in groups) == len(trained)


def test_more_frozen_layers_than_there_are(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    method = {"full": {"frozenLayers": 3}}
    config = harness.train_config("frozen", base, dataset, method=method, train={**TRAIN, "learningRate": 1e-3})
    code, outcome = harness.run(config)
    assert code == ExitCode.BAD_CONFIG
    assert "spec.method.full.frozenLayers is 3, but the model has 2 layers: set it to 2 at most" in outcome.message


def test_killed_ada_lora_goes_on_with_what_it_knew(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    """Which ranks go follows from all steps so far, which neither weights nor optimizer tell."""
    settings = {**TRAIN, "epochs": 2, "learningRate": 1e-2}

    def config_of(name: str) -> Any:
        asked = {"method": {"adaLora": {"rank": 2}}, "train": settings, "export": ["safetensors"]}
        return harness.train_config(name, base, dataset, checkpointEvery=0, **asked)

    whole = config_of("ada-whole")
    assert os.waitstatus_to_exitcode(in_child(harness, whole)) == ExitCode.PUBLISHED
    expected = Trained(harness, whole)
    killed = config_of("ada-killed")
    assert os.waitstatus_to_exitcode(in_child(harness, killed, expected.steps // 2 + 1)) == -signal.SIGKILL
    assert os.waitstatus_to_exitcode(in_child(harness, killed)) == ExitCode.PUBLISHED
    found = Trained(harness, killed)
    assert harness.report(killed).train["resumed_from"] > 0
    assert found.differs_by(expected) < 1e-4


def test_each_method_of_the_api_is_known() -> None:
    from modelyard.api.tasks import METHODS as OFFERED

    assert set(METHODS) == set(OFFERED)
