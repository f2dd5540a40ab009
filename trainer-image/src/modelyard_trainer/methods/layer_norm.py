"""Scale and shift of the layers' norms are trained, and the last layer."""

from __future__ import annotations

import re
from typing import Any

from modelyard.api.hyperparameters import LayerNorm
from modelyard_trainer.errors import bad_config
from modelyard_trainer.methods.layers import train_only, whole_modules
from modelyard_trainer.methods.protocols import (
    Setting,
    as_it_is,
    nothing_after_a_step,
    nothing_kept,
    nothing_restored,
    one_rate,
)

finish, rates, after_step, kept, restore = as_it_is, one_rate, nothing_after_a_step, nothing_kept, nothing_restored
NORM = re.compile(r"norm$", re.IGNORECASE)
"""Classes of norms: LayerNorm, and each architecture's own (LlamaRMSNorm)."""


def adapt(model: Any, method: LayerNorm, setting: Setting) -> Any:
    """The model, of which norms and classifier are trained; BAD_CONFIG for one without norms."""
    norms = [name for name, module in model.named_modules() if NORM.search(type(module).__name__)]
    if not norms:
        raise bad_config(
            f"spec.method.layerNorm: a model of type '{model.config.model_type}' has no norms: set spec.method to "
            "{full: {}}"
        )
    return train_only(model, norms + whole_modules(model, setting.fresh))
