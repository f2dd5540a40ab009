"""Makes sure that a foreign trainer left a whole model: nothing of it may be random."""

from __future__ import annotations

from modelyard_trainer.errors import bad_output
from modelyard_trainer.run import TrainRun


def execute(run: TrainRun) -> None:
    """BAD_OUTPUT if weights are missing that the model needs for its task."""
    missing = [name for name in run.fresh if "pooler" not in name]
    if missing:
        raise bad_output(
            f"weights of {', '.join(missing[:5])} are missing or of another size: save the whole model for "
            f"{run.config.task} with all of its classes"
        )
