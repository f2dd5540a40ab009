"""What a method is: how a model is made ready for training, what happens in it, and what is left at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Setting:
    """What a method knows of the run beside its own block."""

    fresh: list[str]
    """Modules that the base did not bring; they are trained fully, whatever the method."""
    task: str
    """Word of peft for the task."""
    steps: int
    """Optimizer steps of the run."""


class MethodModule(Protocol):
    """What every file of this folder offers; `method` is the method's own block of the RunConfig."""

    def adapt(self, model: Any, method: Any, setting: Setting) -> Any:
        """The model with what is trained; BAD_CONFIG if the method does not fit it."""

    def rates(self, model: Any, method: Any) -> Mapping[str, float]:
        """Factor of the learning rate by name of weight, of those whose factor is not 1."""

    def after_step(self, model: Any, step: int) -> None:
        """After the optimizer's step with this number (from 1), while the gradients are there."""

    def kept(self, model: Any) -> dict[str, Any]:
        """Tensors by name that a resumed run needs beside the weights."""

    def restore(self, model: Any, kept: Mapping[str, Any]) -> None:
        """Give the model what `kept` gave."""

    def finish(self, model: Any) -> Any:
        """The plain model after training."""


def one_rate(model: Any, method: Any) -> Mapping[str, float]:
    """All weights are trained at the run's rate."""
    return {}


def nothing_after_a_step(model: Any, step: int) -> None:
    """The optimizer has done all."""


def nothing_kept(model: Any) -> dict[str, Any]:
    """All that training knows is in weights and optimizer."""
    return {}


def nothing_restored(model: Any, kept: Mapping[str, Any]) -> None:
    """Nothing was kept."""


def as_it_is(model: Any) -> Any:
    """The trained model."""
    return model
