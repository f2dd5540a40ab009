"""The loaded model is tried before it is trained: what cannot be answered or written would only fail hours later."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from modelyard_trainer.base_config import text_part
from modelyard_trainer.errors import TrainerError, bad_base, bad_config, cause_of, out_of_memory
from modelyard_trainer.graphs import onnx_graphs, torch_graphs, write_onnx
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.protocols import Output, Part, Reading

log = logging.getLogger(__name__)
ALIKE = 3e-4
"""Difference of outputs in fp32, as a share of the largest one, that rounding explains."""
EXPORTS = frozenset(
    {
        *("albert", "bart", "bert", "deberta", "deberta-v2", "distilbert", "electra", "gpt2", "gpt_neox", "llama"),
        *("marian", "mistral", "modernbert", "opt", "qwen2", "roberta", "t5", "xlm-roberta"),
        *("modelyard-cnn", "modelyard-dense-detector", "resnet", "vit"),
    }
)
"""Types whose export our tests take through training and serving; others are exported once before training."""


def execute(run: TrainRun) -> None:
    """BASE_INVALID or BAD_CONFIG if the model does not answer two rows, or cannot be written in the formats asked."""
    kind, parts = kind_of(run), learner_of(run.config.task).parts(run.model)
    rows = _extremes(run)
    graphs = torch_graphs(parts)
    try:
        both, alone = run.codec.answer(graphs, rows), run.codec.answer(graphs, rows[1:])
    except Exception as fault:
        raise out_of_memory(fault) or _unanswered(run, kind, fault) from fault
    if (difference := _apart(run, both[1], alone[0])) > ALIKE:
        raise bad_base(
            f"spec.from.base (type '{kind}') answers otherwise when a larger row is in the same batch (outputs differ "
            f"by {difference:.1%}): models of this type cannot be served in batches, choose another"
        )
    if "onnx" in run.config.export and kind not in EXPORTS:
        _export(run, kind, parts, rows, both)


def _extremes(run: TrainRun) -> list[Reading]:
    """Made of the smallest and of the largest training row, without a look at the others."""
    read = run.read["train"]
    order = np.argsort(read.sizes, kind="stable")
    return run.codec.extremes([read[order[0]], read[order[-1]]])


def kind_of(run: TrainRun) -> str:
    """The type of the model, as its library calls it."""
    return str(text_part(run.model.config).model_type)


def _apart(run: TrainRun, one: Output, other: Output) -> float:
    """Difference as a share of the largest number; none if the base itself is broken, which training tells."""
    if not isinstance(one, np.ndarray):
        return 0.0 if run.codec.same_answer(one, other, ALIKE) else 1.0
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return 0.0
    return float(np.abs(one - other).max() / max(float(np.abs(one).max()), 1e-9))


def _unanswered(run: TrainRun, kind: str, fault: Exception) -> TrainerError:
    largest = _extremes(run)[0].size
    lower = "lower spec.input.text.maxLength, or " if run.config.input.text else ""
    return bad_base(
        f"spec.from.base (type '{kind}') does not answer a row of {largest} tokens ({cause_of(fault)}): {lower}choose "
        "a base of another type"
    )


def _export(run: TrainRun, kind: str, parts: Mapping[str, Part], rows: list[Reading], expected: list[Output]) -> None:
    started, codec = time.monotonic(), run.codec
    remedy = "set spec.export to [safetensors], or choose a spec.from.base of another type"
    try:
        with tempfile.TemporaryDirectory(dir=run.work) as name:
            write_onnx(parts, Path(name))
            graphs = onnx_graphs(Path(name))
            found = codec.answer(graphs, rows)
            for odd in codec.read(codec.odd()):
                codec.answer(graphs, [odd])
    except Exception as fault:
        raise out_of_memory(fault) or bad_config(
            f"spec.export has onnx, but a model of type '{kind}' cannot be written as ONNX "
            f"({cause_of(fault)}): {remedy}"
        ) from fault
    log.info("a first export of type '%s' took %.1f s", kind, time.monotonic() - started)
    difference = max(_apart(run, one, other) for one, other in zip(expected, found, strict=True))
    if difference > ALIKE:
        raise bad_config(
            f"spec.export has onnx, but a model of type '{kind}' answers otherwise as ONNX (outputs differ by "
            f"{difference:.1%} before training): {remedy}"
        )
