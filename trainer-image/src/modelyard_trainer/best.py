"""The best model so far by the task's metric on the validation rows: what a run ends with, whatever came later."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

SCORE, LOSS = "score", "eval_loss"
"""SCORE is the primary metric with a sign: greater is better."""
METRIC = f"eval_{SCORE}"
FILE = "best.safetensors"


class Evaluation(NamedTuple):
    """One look at the validation rows; of two the greater is the better."""

    metric: float
    minus_loss: float
    minus_step: int
    """The earlier of two equal ones counts."""

    @property
    def step(self) -> int:
        """Optimizer steps before it."""
        return -self.minus_step


def evaluations(log_history: list[dict[str, Any]]) -> list[Evaluation]:
    """All evaluations that a Trainer's state tells of, in their order."""
    found = [line for line in log_history if METRIC in line]
    return [Evaluation(line[METRIC], -line.get(LOSS, 0.0), -int(line["step"])) for line in found]


def without_progress(log_history: list[dict[str, Any]]) -> int:
    """Evaluations since the best one."""
    found = evaluations(log_history)
    return len(found) - 1 - found.index(max(found)) if found else 0


class Best:
    """Keeps the weights of the best evaluation in a folder; checkpoints carry them, so a resumed run knows them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def keep(self, model: Any) -> None:
        """The model is the best so far; a copy that a checkpoint carries away stays as it is."""
        from safetensors.torch import save_file

        new = self._path.with_suffix(".new")
        save_file({name: value.detach().cpu().contiguous() for name, value in _trained(model).items()}, new)
        new.replace(self._path)

    def join(self, checkpoint: Path) -> None:
        """Put the best weights into a checkpoint's folder."""
        if self._path.exists():
            os.link(self._path, checkpoint / FILE)

    def take_over(self, checkpoint: Path) -> None:
        """What the checkpoint brought is the best so far."""
        if (checkpoint / FILE).exists():
            shutil.copyfile(checkpoint / FILE, self._path)

    def restore(self, model: Any) -> None:
        """Give the model the best weights; without any it stays as it is."""
        if not self._path.exists():
            return
        import torch
        from safetensors.torch import load_file

        kept = load_file(self._path)
        with torch.no_grad():
            for name, value in _trained(model).items():
                value.copy_(kept[name])


def _trained(model: Any) -> dict[str, Any]:
    """What training changes: trained weights, and the statistics that some layers keep."""
    stored = model.state_dict(keep_vars=True)
    weights = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return weights | {name: value for name, value in model.named_buffers() if name in stored}
