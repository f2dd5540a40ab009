"""All weights are trained; where asked, low layers keep their weights or are changed less than those above them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelyard.api.hyperparameters import Full
from modelyard_trainer.errors import bad_config
from modelyard_trainer.methods.layers import below, stack
from modelyard_trainer.methods.protocols import (
    Setting,
    as_it_is,
    nothing_after_a_step,
    nothing_kept,
    nothing_restored,
)

finish, after_step, kept, restore = as_it_is, nothing_after_a_step, nothing_kept, nothing_restored


def adapt(model: Any, method: Full, setting: Setting) -> Any:
    """The model as it is, but for layers that are frozen; BAD_CONFIG if it has no such layers."""
    if method.frozen_layers is None and method.layer_decay is None:
        return model
    _check(model, method)
    if method.frozen_layers is not None:
        height = heights(model)
        for name, weight in model.named_parameters():
            weight.requires_grad = height[name] > method.frozen_layers or below(name, setting.fresh)
    return model


def rates(model: Any, method: Full) -> Mapping[str, float]:
    """The layers' factors: 1 for what is above the last one, the decay once for the last layer, and so on down."""
    if method.layer_decay is None:
        return {}
    _, layers = stack(model)
    return {name: method.layer_decay ** (layers + 1 - height) for name, height in heights(model).items()}


def heights(model: Any) -> dict[str, int]:
    """Of each weight: 0 below the stack of layers (embeddings), from 1 for its lowest layer, and one more above it.

    Weights are registered in the order in which a row passes them.
    """
    stacked, layers = stack(model)
    found, height = dict[str, int](), 0
    for name, _ in model.named_parameters():
        inside = re.match(rf"{re.escape(stacked)}\.(\d+)\.", name)
        height = int(inside[1]) + 1 if inside else height and layers + 1
        found[name] = height
    return found


def _check(model: Any, method: Full) -> None:
    _, layers = stack(model)
    asked = "frozenLayers" if method.frozen_layers is not None else "layerDecay"
    if not layers:
        raise bad_config(
            f"spec.method.full.{asked}: a model of type '{model.config.model_type}' has no stack of layers: "
            "leave it out"
        )
    if (method.frozen_layers or 0) > layers:
        raise bad_config(
            f"spec.method.full.frozenLayers is {method.frozen_layers}, but the model has {layers} layers: "
            f"set it to {layers} at most"
        )
