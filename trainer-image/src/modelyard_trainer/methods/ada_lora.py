"""AdaLoRA: adapters as LoRA's, whose ranks move in training to the layers where they bring most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from modelyard.api.hyperparameters import ResolvedAdaLora
from modelyard_trainer.methods.layers import chosen_layers, transposed, whole_modules
from modelyard_trainer.methods.protocols import Setting, one_rate

rates = one_rate
BEGINS_WITH = 1.5
"""Rank before any is taken away, per rank that is left: as the paper's (Zhang et al., 2023)."""
UNTOUCHED = 0.1
"""Share of the steps before ranks begin to go."""
IMPORTANCE = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What the library's allocator knows of each weight's importance; it is in no state dictionary."""


def adapt(model: Any, method: ResolvedAdaLora, setting: Setting) -> Any:
    """The model with adapters; modules that the base did not bring (the classifier) are trained fully.

    Ranks go until the last step: the library's last phase of fixed ranks would change the shapes that are saved.
    """
    from peft import AdaLoraConfig, get_peft_model

    whole = whole_modules(model, setting.fresh)
    layers = chosen_layers(model, "adaLora", method.targets, whole)
    config = AdaLoraConfig(
        task_type=setting.task,
        init_r=math.ceil(method.rank * BEGINS_WITH),
        target_r=method.rank,
        tinit=min(math.ceil(setting.steps * UNTOUCHED), max(setting.steps - 2, 0)),
        tfinal=0,
        total_step=max(setting.steps, 2),
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=list(layers),
        modules_to_save=whole,
        fan_in_fan_out=transposed(layers),
    )
    return get_peft_model(model, config)


def after_step(model: Any, step: int) -> None:
    """Weigh the ranks by what this step changed, and silence those that bring least."""
    allocator = model.base_model.rankallocator
    if step < allocator.peft_config.total_step:
        allocator.update_and_allocate(model.base_model.model, step)


def kept(model: Any) -> dict[str, Any]:
    """Importance of each weight so far."""
    allocator = model.base_model.rankallocator
    return {f"{what}/{name}": value for what in IMPORTANCE for name, value in getattr(allocator, what).items()}


def restore(model: Any, kept: Mapping[str, Any]) -> None:
    """Go on with the importance that was known."""
    allocator = model.base_model.rankallocator
    device = next(model.parameters()).device
    for what in IMPORTANCE:
        found = {name.removeprefix(f"{what}/"): one for name, one in kept.items() if name.startswith(f"{what}/")}
        getattr(allocator, what).update({name: value.to(device) for name, value in found.items()})


def finish(model: Any) -> Any:
    """The base model with the adapters merged into its weights."""
    return model.merge_and_unload()
