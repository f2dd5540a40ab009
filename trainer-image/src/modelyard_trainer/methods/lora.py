"""LoRA: small matrices beside the linear layers are trained, and merged into them at the end."""

from __future__ import annotations

import re
from typing import Any

from modelyard.api.hyperparameters import ResolvedLora
from modelyard_trainer.errors import bad_config

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
"""Paths of layers inside an attention block: its projections, whatever they are called."""


def adapt(model: Any, method: ResolvedLora, fresh: list[str], task: str) -> Any:
    """The model with adapters; modules that the base did not bring (the classifier) are trained fully."""
    from peft import LoraConfig, get_peft_model

    whole = _whole_modules(model, fresh)
    targets, transposed = _targets(model, method, whole)
    config = LoraConfig(
        task_type=task,
        r=method.rank,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=targets,
        modules_to_save=whole,
        fan_in_fan_out=transposed,
    )
    return get_peft_model(model, config)


def finish(model: Any) -> Any:
    """The base model with the adapters merged into its weights."""
    return model.merge_and_unload()


def _targets(model: Any, method: ResolvedLora, whole: list[str]) -> tuple[list[str], bool]:
    """Names of the layers to adapt, and whether they keep their weights transposed, as GPT-2 does."""
    import torch
    from transformers.pytorch_utils import Conv1D

    layers = {name: module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)}
    found = [name for name in layers if not any(name == top or name.startswith(f"{top}.") for top in whole)]
    if method.targets == "attention":
        found = [name for name in found if ATTENTION.search(name)]
    if not found:
        asked, other = method.targets, "spec.method to {full: {}}"
        remedy = f"spec.method.lora.targets to all-linear, or {other}" if method.targets == "attention" else other
        raise bad_config(
            f"spec.method.lora.targets '{asked}' finds no layers in a base model of type '{model.config.model_type}': "
            f"set {remedy}"
        )
    return found, any(isinstance(layers[name], Conv1D) for name in found)


def _whole_modules(model: Any, fresh: list[str]) -> list[str]:
    """The classifier, and modules of the encoder that start untrained."""
    heads = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    trained = [name for name in heads if any(True for _ in model.get_submodule(name).parameters())]
    new = [name for name in fresh if not any(name == head or name.startswith(f"{head}.") for head in trained)]
    return trained + new
