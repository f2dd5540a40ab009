"""LoRA: small matrices beside the linear layers are trained, and merged into them at the end."""

from __future__ import annotations

from typing import Any

from modelyard.api.hyperparameters import ResolvedLora
from modelyard_trainer.methods.layers import chosen_layers, transposed, whole_modules
from modelyard_trainer.methods.protocols import (
    Setting,
    nothing_after_a_step,
    nothing_kept,
    nothing_restored,
    one_rate,
)

rates, after_step, kept, restore = one_rate, nothing_after_a_step, nothing_kept, nothing_restored


def adapt(model: Any, method: ResolvedLora, setting: Setting) -> Any:
    """The model with adapters; modules that the base did not bring (the classifier) are trained fully."""
    from peft import LoraConfig, get_peft_model

    whole = whole_modules(model, setting.fresh)
    layers = chosen_layers(model, "lora", method.targets, whole)
    config = LoraConfig(
        task_type=setting.task,
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=list(layers),
        modules_to_save=whole,
        fan_in_fan_out=transposed(layers),
        use_dora=bool(method.dora),
        use_rslora=bool(method.rs_lora),
    )
    return get_peft_model(model, config)


def finish(model: Any) -> Any:
    """The base model with the adapters merged into its weights."""
    return model.merge_and_unload()
