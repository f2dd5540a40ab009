"""The loaded model is tried before it is trained: what cannot be answered or written would only fail hours later."""

from __future__ import annotations

import functools
import logging
import tempfile
import time
from pathlib import Path

import numpy as np

from modelyard_trainer.base_config import text_part
from modelyard_trainer.errors import TrainerError, bad_base, bad_config, cause_of, out_of_memory
from modelyard_trainer.onnx_model import onnx_runner, write_onnx
from modelyard_trainer.predict import Pad, torch_logits
from modelyard_trainer.run import TrainRun
from modelyard_trainer.served import ODD
from modelyard_trainer.tasks import task_named

log = logging.getLogger(__name__)
LONGEST = 1024
"""Tokens of the long row; more would cost memory that training on a GPU does not need here."""
ALIKE = 3e-4
"""Difference of logits in fp32, as a share of the largest one, that rounding explains."""
EXPORTS = frozenset(
    {
        *("albert", "bart", "bert", "deberta", "deberta-v2", "distilbert", "electra", "gpt2", "gpt_neox", "llama"),
        *("mistral", "modernbert", "opt", "qwen2", "roberta", "xlm-roberta"),
    }
)
"""Types whose export our tests take through training and serving; others are exported once before training."""


def execute(run: TrainRun) -> None:
    """BASE_INVALID or BAD_CONFIG if the model does not answer two rows, or cannot be written in the formats asked."""
    kind = text_part(run.model.config).model_type
    rows = _two_rows(run)
    pad = functools.partial(task_named(run.config.task).pad, pad_id=run.pad_id)
    try:
        both, alone = torch_logits(run.model, rows, pad, 2 * LONGEST), torch_logits(run.model, rows[1:], pad)
    except Exception as fault:
        raise out_of_memory(fault) or _unanswered(run, kind, fault) from fault
    if both.shape != (2, len(run.labels)):
        raise bad_base(f"spec.from.base (type '{kind}') answers {both.shape} for 2 rows of {len(run.labels)} classes")
    if (difference := _difference(both[1:], alone)) > ALIKE:
        raise bad_base(
            f"spec.from.base (type '{kind}') answers otherwise when a longer text is in the same batch (logits differ "
            f"by {difference:.1%}): models of this type cannot be served in batches, choose another"
        )
    if "onnx" in run.config.export and kind not in EXPORTS:
        _export(run, kind, rows, pad, both)


def _two_rows(run: TrainRun) -> list[np.ndarray]:
    """A row as long as the run allows, made of a real one's tokens between its ends, and a short one."""
    known = sorted(run.encoded["train"], key=len)
    row = known[-1] if len(known[-1]) > 2 else np.full(3, run.pad_id, dtype=np.int32)
    length = max(3, min(run.max_length, LONGEST))
    inside: np.ndarray = np.resize(row[1:-1], length - 2)
    return [np.concatenate([row[:1], inside, row[-1:]]), known[0]]


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference as a share of the largest logit; none if the base itself is broken, which training tells."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return 0.0
    return float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-9))


def _unanswered(run: TrainRun, kind: str, fault: Exception) -> TrainerError:
    return bad_base(
        f"spec.from.base (type '{kind}') does not answer a row of {min(run.max_length, LONGEST)} tokens "
        f"({cause_of(fault)}): lower spec.input.text.maxLength, or choose a base of another type"
    )


def _export(run: TrainRun, kind: str, rows: list[np.ndarray], pad: Pad, expected: np.ndarray) -> None:
    started = time.monotonic()
    remedy = "set spec.export to [safetensors], or choose a spec.from.base of another type"
    try:
        with tempfile.TemporaryDirectory(dir=run.work) as folder:
            write_onnx(run.model, Path(folder) / "model.onnx")
            answer = onnx_runner(Path(folder) / "model.onnx")
            found = answer(pad(rows))
            for odd in task_named(run.config.task).token_ids(run.tokenizer, list(ODD)):
                answer(pad([odd]))
    except Exception as fault:
        raise out_of_memory(fault) or bad_config(
            f"spec.export has onnx, but a model of type '{kind}' cannot be written as ONNX "
            f"({cause_of(fault)}): {remedy}"
        ) from fault
    log.info("a first export of type '%s' took %.1f s", kind, time.monotonic() - started)
    if (difference := _difference(found, expected)) > ALIKE:
        raise bad_config(
            f"spec.export has onnx, but a model of type '{kind}' answers otherwise as ONNX (logits differ by "
            f"{difference:.1%} before training): {remedy}"
        )
