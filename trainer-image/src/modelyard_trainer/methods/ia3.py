"""IA3: a factor per output of attention and per input of the layers after it is trained, and merged at the end."""

from __future__ import annotations

import re
from typing import Any

from modelyard.api.hyperparameters import Ia3
from modelyard_trainer.errors import bad_config
from modelyard_trainer.methods.layers import ATTENTION, below, linear_layers, transposed, whole_modules
from modelyard_trainer.methods.protocols import (
    Setting,
    nothing_after_a_step,
    nothing_kept,
    nothing_restored,
    one_rate,
)

rates, after_step, kept, restore = one_rate, nothing_after_a_step, nothing_kept, nothing_restored
KEYS_AND_VALUES = re.compile(r"key|value|\b[kv]_proj|\b[kv]_lin|qkv|c_attn|\b[kv]$", re.IGNORECASE)
"""Projections to keys and values; some architectures keep them in one matrix with the queries."""


def adapt(model: Any, method: Ia3, setting: Setting) -> Any:
    """The model with its factors: keys and values, and what enters the layers that lead back to the model's width."""
    from peft import IA3Config, get_peft_model

    whole = whole_modules(model, setting.fresh)
    layers = linear_layers(model, whole)
    inside = [name for name in layers if ATTENTION.search(name) and KEYS_AND_VALUES.search(name)]
    after = [name for name, layer in layers.items() if not ATTENTION.search(name) and _narrows(layer)]
    if not inside:
        raise bad_config(
            f"spec.method.ia3 finds no keys and values in a base model of type '{model.config.model_type}': set "
            "spec.method to {lora: {}} or {full: {}}"
        )
    config = IA3Config(  # of no task: of a classifier the library would take the whole head once more
        target_modules=inside + after,
        feedforward_modules=after,
        modules_to_save=_with_weights(model, whole),
        fan_in_fan_out=transposed(layers),
    )
    return get_peft_model(model, config)


def finish(model: Any) -> Any:
    """The base model with the factors merged into its weights."""
    return model.merge_and_unload()


def _with_weights(model: Any, modules: list[str]) -> list[str]:
    """The modules inside of these that have weights: the library merges no factors beside a head of several layers."""
    return [
        name
        for name, module in model.named_modules()
        if below(name, modules) and any(True for _ in module.parameters(recurse=False))
    ]


def _narrows(layer: Any) -> bool:
    """Whether a layer has more inputs than outputs."""
    if hasattr(layer, "in_features"):
        return bool(layer.in_features > layer.out_features)
    return bool(layer.weight.shape[0] > layer.weight.shape[1])
