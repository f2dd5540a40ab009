"""What a run noticed about its result that no gate asks for; each becomes a condition of the FineTuneJob."""

from __future__ import annotations

import numpy as np

from modelyard import names
from modelyard.api.modelversion import RunWarning
from modelyard_trainer.run import TrainRun


def warnings_of(run: TrainRun) -> list[RunWarning]:
    """All warnings of an evaluated run."""
    messages = {names.NOTHING_LEARNED: _nothing_learned(run), names.RATE_LOWERED: _rate_lowered(run)}
    return [RunWarning(reason=reason, message=message) for reason, message in messages.items() if message]


def _nothing_learned(run: TrainRun) -> str:
    """One class for every test row, or no better than always naming the commonest class."""
    named = np.unique(run.test_logits.argmax(axis=-1))
    majority, reached = run.baselines.get("majority"), run.metrics.macro_f1 if run.metrics else 0.0
    if len(named) == 1:
        seen = f"the model gives all {len(run.test_logits)} test rows the class '{run.labels[int(named[0])]}'"
    elif majority is not None and reached <= majority:
        seen = f"macro F1 {reached:.3f} is no better than always naming the commonest class ({majority:.3f})"
    else:
        return ""
    return (
        f"{seen}: it learned nothing. Try more spec.train.epochs or rows, a spec.train.learningRate "
        f"three times lower or higher (now {run.figures.get('learning_rate', 'unknown')}), or method full; "
        "if the classes cannot be told by the texts, check spec.source.columns of the Dataset"
    )


def _rate_lowered(run: TrainRun) -> str:
    if run.lowered is None:
        return ""
    return (
        f"training diverged at its start ({run.lowered['seen']}): it began again with the rate {run.lowered['to']:g} "
        f"in place of {run.lowered['from']:g}; set spec.train.learningRate to that or less"
    )
