"""LoRA: small matrices beside the linear layers are trained, and merged into them at the end."""

from __future__ import annotations

from typing import Any

from modelyard.api.finetunejob import Method
from modelyard_trainer.errors import bad_config

LEARNING_RATE = 3e-3
"""Peak rate where the user gives none."""
RANK = 8


def adapt(model: Any, method: Method, fresh: list[str]) -> Any:
    """The model with adapters; modules that the base did not bring (the classifier) are trained fully."""
    from peft import LoraConfig, get_peft_model

    rank = method.rank or RANK
    whole = _whole_modules(model, fresh)
    config = LoraConfig(
        task_type="SEQ_CLS",
        r=rank,
        lora_alpha=method.alpha or 2 * rank,
        lora_dropout=method.dropout or 0.0,
        target_modules=_targets(model, method, whole),
        modules_to_save=whole,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as fault:
        kind = model.config.model_type
        raise bad_config(
            f"spec.method.targets '{method.targets or 'all-linear'}' found no layers in a base model of type "
            f"'{kind}' ({fault}): set spec.method.targets to all-linear, or spec.method.type to full"
        ) from fault


def finish(model: Any) -> Any:
    """The base model with the adapters merged into its weights."""
    return model.merge_and_unload()


def _targets(model: Any, method: Method, whole: list[str]) -> list[str] | None:
    """Names of the layers to adapt; None lets peft take the attention layers it knows for the model's type."""
    if method.targets == "attention":
        return None
    import torch

    layers = (name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear))
    return [name for name in layers if not any(name == top or name.startswith(f"{top}.") for top in whole)]


def _whole_modules(model: Any, fresh: list[str]) -> list[str]:
    """The classifier, and modules of the encoder that start untrained."""
    heads = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    trained = [name for name in heads if any(True for _ in model.get_submodule(name).parameters())]
    new = [name for name in fresh if not any(name == head or name.startswith(f"{head}.") for head in trained)]
    return trained + new
