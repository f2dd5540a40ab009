"""Before anything is published: the server's own code must answer as the trained model does.

Test rows go in as a request would hold them, also in forms that the version's preparation has to undo, through the
server's parse, prepare, encode, session and decode.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from modelyard.api.run import ExitCode, ModelInfo
from modelyard_server.load import opened
from modelyard_server.predictor import Predictor
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import rows_of
from modelyard_trainer.tasks.protocols import Codec, Instance, Output, Reading

log = logging.getLogger(__name__)
COMPARED_ROWS = 256
ABSURD = 1.0
"""Difference of outputs that no rounding explains; smaller ones are the gate's to judge."""
RELEASE = "chart values image.trainer and image.server must be of one release; if they are, report it with this message"
REMEDY = "set spec.export to [safetensors], or choose another spec.from.base"


def compare(run: TrainRun, info: ModelInfo, expected: Sequence[Output]) -> float:
    """The largest difference of outputs on the first test rows; EXPORT_DIFFERS says what the server would do otherwise.

    `expected`: outputs of the merged torch model for these rows.
    """
    predictor = Predictor(opened(run.version, info))
    rows = [run.rows["test"][row] for row in range(len(expected))]
    instances = [rows_of(run.config.task).instance(row) for row in rows]
    _check_reading(predictor, run.codec, instances, run.read["test"][: len(rows)])
    found = predictor.outputs(predictor.read(instances))
    difference = largest(run.codec, found, expected)
    log.info("largest difference between torch and the served model on %d rows: %.3g", len(rows), difference)
    if not math.isfinite(difference) or difference > ABSURD:
        raise _differs(
            f"the ONNX model's outputs differ from torch's by {difference:.3g} on {len(rows)} test rows: {REMEDY}"
        )
    _check_answers(run, predictor.codec, instances, (found, expected), 2 * difference)
    _check_odd(predictor, run.codec)
    return difference


def check_merged(codec: Codec, trained: Sequence[Output], merged: Sequence[Output]) -> float:
    """The largest difference that merging an adapter made; EXPORT_DIFFERS if no rounding explains it."""
    difference = largest(codec, merged[: len(trained)], trained)
    if not math.isfinite(difference) or difference > ABSURD:
        raise _differs(
            f"the merged model's outputs differ from the trained one's by {difference:.3g} on {len(trained)} test "
            "rows: set spec.train.precision to fp32, or spec.method to {full: {}}"
        )
    return difference


def largest(codec: Codec, found: Sequence[Output], expected: Sequence[Output]) -> float:
    """Largest difference of two rows' outputs; 0 for no rows, not a number if one is none."""
    differences = [codec.difference(one, other) for one, other in zip(expected, found, strict=True)]
    return float(np.max(differences)) if differences else 0.0


def _check_reading(predictor: Predictor, codec: Codec, instances: list[Instance], read: Sequence[Reading]) -> None:
    for form in (instances, [codec.as_sent(instance) for instance in instances]):
        wrong = [row for row, found in enumerate(predictor.read(form)) if not same_reading(found, read[row])]
        if wrong:
            first = wrong[0]
            shown = _shown(codec, form[first])
            raise _differs(
                f"the server reads {len(wrong)} of {len(instances)} test rows otherwise than training did, for example "
                f"{shown!r}: {RELEASE}"
            )


def same_reading(one: Reading, other: Reading) -> bool:
    """Whether a model is given the same numbers."""
    return one.inputs.keys() == other.inputs.keys() and all(
        np.array_equal(value, other.inputs[name]) for name, value in one.inputs.items()
    )


def _check_answers(
    run: TrainRun,
    served: Codec,
    instances: list[Instance],
    outputs: tuple[Sequence[Output], Sequence[Output]],
    rounding: float,
) -> None:
    """Outputs (of the server, of training) so close to a border that `rounding` may turn them may differ."""
    codec, read, (found, expected) = run.codec, run.read["test"], outputs
    for row, instance in enumerate(instances):
        answered = served.decode(found[row], read[row])
        wanted = codec.decode(found[row], read[row])
        if not codec.same_answer(expected[row], found[row], rounding):
            wanted = codec.decode(expected[row], read[row])
        if answered != wanted:
            raise _differs(
                "the server answers test rows otherwise than the trained model, for example "
                f"{_shown(codec, instance)!r} with {str(answered)[:200]} instead of {str(wanted)[:200]}: "
                f"{RELEASE}"
            )


def _check_odd(predictor: Predictor, codec: Codec) -> None:
    """A request that may come must not fail in the served model."""
    for instance in codec.odd():
        told = f"the exported model cannot answer {_shown(codec, instance, 40)!r}, which a request may hold"
        try:
            answer: Any = predictor.predict([instance])[0]
        except Exception as fault:
            raise _differs(f"{told} ({' '.join(str(fault).split())[:200]}): {REMEDY}") from fault
        if not codec.finite(answer):
            raise _differs(f"{told} (its scores are no numbers): {REMEDY}")


def _shown(codec: Codec, instance: Instance, characters: int = 80) -> str:
    """The beginning of what an instance holds."""
    return " | ".join(str(instance[key])[:characters] for key in codec.keys)


def _differs(message: str) -> TrainerError:
    return TrainerError(ExitCode.EXPORT_DIFFERS, message)
