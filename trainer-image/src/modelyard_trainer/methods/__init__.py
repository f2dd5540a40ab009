"""How weights are adapted: one file per method behind one table."""

from __future__ import annotations

from typing import Any, Protocol

from modelyard_trainer.methods import full, lora


class MethodModule(Protocol):
    """What every file of this folder offers."""

    def adapt(self, model: Any, method: Any, fresh: list[str], task: str) -> Any:
        """The model with what is trained.

        `method` is the method's own block of the RunConfig; `fresh` modules are trained fully, `task` is peft's word
        for the task.
        """

    def finish(self, model: Any) -> Any:
        """The plain model after training."""


METHODS: dict[str, MethodModule] = {"full": full, "lora": lora}


def method_named(name: str) -> MethodModule:
    """The method; the API allows only names of this table."""
    return METHODS[name]
