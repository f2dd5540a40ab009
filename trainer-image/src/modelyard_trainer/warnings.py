"""What a run noticed about its result that no gate asks for; each becomes a condition of the FineTuneJob."""

from __future__ import annotations

from modelyard import names
from modelyard.api.modelversion import TEST, Metrics, RunWarning, on_set
from modelyard.api.tasks import TASKS
from modelyard_trainer.run import TrainRun

FEW = 0.01
"""Share of rows that may be cut without a word."""
ALWAYS = {"majority": "commonest class", "commonest_labels": "commonest labels"}
"""Baselines of those that know nothing of a row, and what they name."""
NAMED = 10
"""Classes that a message names."""


def warnings_of(run: TrainRun) -> list[RunWarning]:
    """All warnings of an evaluated run."""
    messages = {
        names.NOTHING_LEARNED: _nothing_learned(run),
        names.RATE_LOWERED: _rate_lowered(run),
        names.ROWS_TRUNCATED: _rows_truncated(run),
        names.CLASSES_DROPPED: _classes_dropped(run),
    }
    return [RunWarning(reason=reason, message=message) for reason, message in messages.items() if message]


def _nothing_learned(run: TrainRun) -> str:
    """One class for every test row, or no better than always naming the commonest class."""
    labels = {answer.get("label") for answer in run.answers}
    tested = on_set(run.metrics, TEST)
    name = next((name for name in ALWAYS if name in run.baselines), None)
    if len(labels) == 1 and None not in labels:
        seen = f"the model gives all {len(run.answers)} test rows the class '{labels.pop()}'"
    elif name and tested is not None and not _is_better(run, tested, known := run.baselines[name]):
        seen = f"{tested.headline} is no better than always naming the {ALWAYS[name]} ({known:.3f})"
    else:
        return ""
    return (
        f"{seen}: it learned nothing. Try more spec.train.epochs or rows, a spec.train.learningRate "
        f"three times lower or higher (now {run.figures.get('learning_rate', 'unknown')}), or spec.method "
        "{full: {}}; if the classes cannot be told by the texts, check spec.source.columns of the Dataset"
    )


def _is_better(run: TrainRun, tested: Metrics, baseline: float) -> bool:
    metric = TASKS[run.config.task].metric(tested.primary)
    return metric.score(tested.values[tested.primary]) > metric.score(baseline)


def _rate_lowered(run: TrainRun) -> str:
    if run.lowered is None:
        return ""
    return (
        f"training diverged at its start ({run.lowered['seen']}): it began again with the rate {run.lowered['to']:g} "
        f"in place of {run.lowered['from']:g}; set spec.train.learningRate to that or less"
    )


def _rows_truncated(run: TrainRun) -> str:
    """Enough rows of any split are longer than the model reads."""
    counts: dict[str, dict[str, float]] = run.figures.get("truncated", {})
    if not any(count["share"] > FEW for count in counts.values()):
        return ""
    told = ", ".join(f"{count['rows']} {split} rows ({count['share']:.1%})" for split, count in counts.items())
    length = int(run.read["train"].sizes.max())
    seen = f"of longer texts only the first {length} tokens are read, in training as in serving: {told}"
    if run.longest is not None and length >= run.longest:
        return f"{seen}. The base takes no more: choose a spec.from.base for longer texts, or shorten the rows"
    most = f", the base takes up to {run.longest}" if run.longest is not None else ""
    return f"{seen}. If what tells the classes may stand later, raise spec.input.text.maxLength{most}"


def _classes_dropped(run: TrainRun) -> str:
    """A version that the run went on from knew classes of which there are no rows now."""
    gone: list[str] = run.figures.get("classes", {}).get("dropped", [])
    if not gone or run.parent is None:
        return ""
    listed = ", ".join(gone[:NAMED]) + (" ..." if len(gone) > NAMED else "")
    return (
        f"the training rows have no {listed}, which the version before could answer: this one cannot. To keep what it "
        "knew, train on rows of all classes"
    )
