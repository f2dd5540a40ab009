"""Where methods take hold of a model: linear layers, norms, the stack of layers, the modules that are trained fully."""

from __future__ import annotations

import re
from typing import Any

from modelyard_trainer.errors import bad_config

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
"""Paths of layers inside an attention block: its projections, whatever they are called."""


def below(name: str, modules: list[str]) -> bool:
    """Whether a module or weight is one of the modules, or inside of one."""
    return any(name == top or name.startswith(f"{top}.") for top in modules)


def whole_modules(model: Any, fresh: list[str]) -> list[str]:
    """The classifier, and modules of the encoder that start untrained."""
    words = word_layer(model)
    heads = [name for name, part in model.named_children() if name != model.base_model_prefix and part is not words]
    trained = [name for name in heads if any(True for _ in model.get_submodule(name).parameters())]
    return trained + [name for name in fresh if not below(name, trained)]


def word_layer(model: Any) -> Any | None:
    """The last layer of a decoder alone that gives words: its base brings it, tied to its embeddings as a rule."""
    if getattr(model.config, "is_encoder_decoder", False) or not hasattr(model, "get_output_embeddings"):
        return None
    return model.get_output_embeddings()


def linear_layers(model: Any, whole: list[str]) -> dict[str, Any]:
    """Layers that multiply with a matrix, by name, but for those that are trained fully and one that gives words."""
    import torch
    from transformers.pytorch_utils import Conv1D

    found = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)}
    words = word_layer(model)
    return {name: module for name, module in found.items() if module is not words and not below(name, whole)}


def transposed(layers: dict[str, Any]) -> bool:
    """Whether the layers keep their weights transposed, as GPT-2 does."""
    from transformers.pytorch_utils import Conv1D

    return any(isinstance(module, Conv1D) for module in layers.values())


def chosen_layers(model: Any, method: str, targets: str, whole: list[str]) -> dict[str, Any]:
    """The layers that `targets` names; BAD_CONFIG if there are none."""
    found = linear_layers(model, whole)
    if targets == "attention":
        found = {name: module for name, module in found.items() if ATTENTION.search(name)}
    if not found:
        other = "spec.method to {full: {}}"
        remedy = f"spec.method.{method}.targets to all-linear, or {other}" if targets == "attention" else other
        raise bad_config(
            f"spec.method.{method}.targets '{targets}' finds no layers in a base model of type "
            f"'{model.config.model_type}': set {remedy}"
        )
    return found


def train_only(model: Any, modules: list[str]) -> Any:
    """The model, of which nothing is trained but these modules."""
    for name, weight in model.named_parameters():
        weight.requires_grad = below(name, modules)
    return model


def stack(model: Any) -> tuple[str, int]:
    """Name and number of layers of the longest stack of layers, of several as long the first; 0 if there is none."""
    import torch

    stacks = [(name, len(one)) for name, one in model.named_modules() if isinstance(one, torch.nn.ModuleList)]
    return max(stacks, key=lambda found: found[1], default=("", 0))
