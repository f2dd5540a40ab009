"""Every hyper-parameter reaches what trains: optimizer, schedule and adapters, as they are before the first step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from modelyard_trainer.errors import Interrupted
from modelyard_trainer.stages import train
from tests.trainer.harness import TrainerHarness

TRAIN = {"epochs": 4, "batchSize": 16, "precision": "fp32", "linearProbe": False}


class Seen(Interrupted):
    """Training ends here: the test has seen what it wanted."""


@pytest.fixture
def loop_of(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The training loop of a run with these settings, its optimizer and schedule made."""

    def find(name: str, **changes: Any) -> Any:
        loops: list[Any] = []

        def see(run: Any, loop: Any, found: Any) -> None:
            steps = -(-len(run.rows["train"]) // run.config.train.batch_size) * run.config.train.epochs
            loop.create_optimizer_and_scheduler(steps)
            loops.append(loop)
            raise Seen

        monkeypatch.setattr(train, "_run", see)
        settings = {**TRAIN, **changes.pop("train", {})}
        harness.run(harness.train_config(f"settings-{name}", base, dataset, train=settings, **changes))
        return loops[0]

    return find


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_weight_decay(loop_of: Any, decay: float) -> None:
    groups = loop_of(f"decay-{decay}", train={"weightDecay": decay}).optimizer.param_groups
    assert {group["weight_decay"] for group in groups} == {decay, 0.0}  # biases and norms never decay


@pytest.mark.parametrize(("schedule", "at_end"), [("linear", 0.0), ("cosine", 0.0), ("constant", 1.0)])
@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_rate_schedule_and_warm_up(loop_of: Any, schedule: str, at_end: float, warmup: float) -> None:
    settings = {"learningRate": 3e-4, "schedule": schedule, "warmup": warmup}
    loop = loop_of(f"{schedule}-{warmup}", train=settings)
    steps = loop.args.max_steps if loop.args.max_steps > 0 else -(-len(loop.train_dataset) // 16) * 4
    rate = loop.lr_scheduler.lr_lambdas[0]
    assert {group["initial_lr"] for group in loop.optimizer.param_groups} == {3e-4}
    full = round(steps * warmup)
    assert rate(full) == pytest.approx(1.0, abs=0.1) and rate(steps) == pytest.approx(at_end, abs=0.02)
    assert warmup == 0 or rate(full // 2) == pytest.approx(0.5, abs=0.1)


def test_lora(loop_of: Any) -> None:
    asked = {"rank": 4, "alpha": 12, "dropout": 0.3, "targets": "attention"}
    model = loop_of("lora", method={"lora": asked}).model
    layers = {name: layer for name, layer in model.named_modules() if hasattr(layer, "lora_A")}
    assert layers and all("attention" in name for name in layers)
    for layer in layers.values():
        assert layer.lora_A["default"].out_features == 4 and layer.scaling["default"] == 12 / 4
        assert isinstance(layer.lora_dropout["default"], torch.nn.Dropout) and layer.lora_dropout["default"].p == 0.3
    all_linear = loop_of("lora-all", method={"lora": {**asked, "targets": "all-linear"}}).model
    assert len([1 for layer in all_linear.modules() if hasattr(layer, "lora_A")]) > len(layers)


def test_batch_epochs_and_seed(loop_of: Any) -> None:
    loop = loop_of("batch", train={"epochs": 3, "batchSize": 24, "seed": 11}, microBatch=8)
    assert (loop.args.num_train_epochs, loop.args.seed) == (3, 11)
    assert loop.args.per_device_train_batch_size * loop.args.gradient_accumulation_steps == 24
