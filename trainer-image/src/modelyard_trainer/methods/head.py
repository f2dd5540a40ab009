"""The last layer is trained alone, beside frozen weights."""

from __future__ import annotations

from typing import Any

from modelyard.api.hyperparameters import Head
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


def adapt(model: Any, method: Head, setting: Setting) -> Any:
    """The model, of which the classifier is trained and what the base did not bring."""
    return train_only(model, whole_modules(model, setting.fresh))
