"""What a base answers before it is trained, where it answers at all: a baseline, and a few answers side by side."""

from __future__ import annotations

from typing import Any

from modelyard_trainer.graphs import torch_graphs
from modelyard_trainer.predict import outputs_of, size_at_once
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of, rows_of
from modelyard_trainer.tasks.protocols import Answer, Reading

SHOWN = 3
"""Test rows whose answers are shown: the first ones, for rows lie in hash order."""
BASELINE = "untrained"


def compare(run: TrainRun) -> None:
    """Leave in run.baselines how the base measures on the test rows, and in run.figures some answers of both.

    The base is loaded a second time: so nothing of it is held while there is training.
    """
    learner = learner_of(run.config.task)
    base, _ = learner.load_model(run, run.codec)
    graphs = torch_graphs(learner.parts(base.to(run.model.device).float().eval()))
    read = run.read["test"]
    found = outputs_of(run.codec, graphs, read, size_at_once(run))
    answers = [run.codec.decode(output, reading) for output, reading in zip(found, read, strict=True)]
    measured = run.codec.measure(answers, run.rows["test"])
    run.baselines[BASELINE] = measured.values[measured.primary]
    run.figures["untrained"] = measured.values
    run.figures["shown"] = _shown(run, graphs)


def _shown(run: TrainRun, before: dict[str, Any]) -> list[dict[str, Any]]:
    """Short greedy answers to the first test rows, by the base and by the trained model."""
    kind, codec = rows_of(run.config.task), run.codec
    rows = list(run.rows["test"][:SHOWN])
    asked = [codec.sample(kind.instance(row)) for row in rows]
    read = codec.read(asked)
    after = torch_graphs(learner_of(run.config.task).parts(run.model))
    both = zip(asked, rows, _texts(run, before, read), _texts(run, after, read), strict=True)
    return [
        {"test_row": number, "asked": one, "row": row, "before": old["text"], "after": new["text"]}
        for number, (one, row, old, new) in enumerate(both)
    ]


def _texts(run: TrainRun, graphs: dict[str, Any], read: list[Reading]) -> list[Answer]:
    return [run.codec.decode(out, one) for out, one in zip(run.codec.answer(graphs, read), read, strict=True)]
