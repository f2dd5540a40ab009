"""Before anything is published: the server's own code must answer as the trained model does.

Test rows go in as a request would hold them, also in forms that the version's preparation has to undo, through the
server's parse, prepare, encode, session and decode.
"""

from __future__ import annotations

import logging
import math
import unicodedata
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from modelyard.api.dataset import Clean
from modelyard.api.run import ExitCode, ModelInfo
from modelyard_server.classifier import Classifier
from modelyard_server.load import opened
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.data.rows import Row
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.run import TrainRun

log = logging.getLogger(__name__)
COMPARED_ROWS = 256
ABSURD = 1.0
"""Logit difference that no rounding explains; smaller ones are the gate's to judge."""
ODD = ("", " ", "\0", "</s>", "<s> </s> </s>", "[CLS] [SEP] [PAD] [MASK]", "<|endoftext|>", "\u200b", "9" * 10_000)
"""Texts that no row holds but some request will."""
RELEASE = "chart values image.trainer and image.server must be of one release; if they are, report it with this message"
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


class Answers(Protocol):
    """What of the server's classifier is compared."""

    def read(self, instances: Sequence[Any]) -> list[list[int]]:
        """Token ids per instance."""

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (rows, classes)."""

    def predict(self, instances: Sequence[Any]) -> list[Any]:
        """Predictions."""


def compare(run: TrainRun, info: ModelInfo, expected: np.ndarray) -> float:
    """The largest logit difference on the first test rows; EXPORT_DIFFERS says what the server would do otherwise.

    `expected`: logits (rows, classes) of the merged torch model on these rows.
    """
    classifier: Answers = Classifier(opened(run.version, info))
    rows = run.side("test")[: len(expected)]
    ids = [list(map(int, row)) for row in run.encoded["test"][: len(rows)]]
    _check_reading(classifier, rows, ids, run.prepare)
    difference = largest(classifier.logits(ids), expected)
    log.info("largest logit difference between torch and the served model on %d rows: %.3g", len(rows), difference)
    if not math.isfinite(difference) or difference > ABSURD:
        raise _differs(
            f"the ONNX model's logits differ from torch's by {difference:.3g} on {len(rows)} test rows: "
            "set spec.export to [safetensors], or choose another spec.from.base"
        )
    _check_labels(classifier, rows, expected, run.labels, 2 * difference)
    _check_odd_texts(classifier)
    return difference


def check_merged(trained: np.ndarray, merged: np.ndarray) -> float:
    """The largest logit difference that merging an adapter made; EXPORT_DIFFERS if no rounding explains it."""
    difference = largest(merged, trained)
    if not math.isfinite(difference) or difference > ABSURD:
        raise _differs(
            f"the merged model's logits differ from the trained one's by {difference:.3g} on {len(trained)} test "
            "rows: set spec.train.precision to fp32, or spec.method to {full: {}}"
        )
    return difference


def largest(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference; 0 for no rows."""
    return float(np.abs(found - expected).max(initial=0.0))


def as_people_send(text: str, steps: Sequence[Clean]) -> str:
    """The text in a form that preparation undoes: full-width or decomposed letters, spaces around it."""
    forms = (f"\u3000{text.translate(WIDE)}\n", f" {unicodedata.normalize('NFD', text)}\n", f" {text}\n")
    return next((form for form in forms if prepared(form, steps) == prepared(text, steps)), text)


def _check_reading(classifier: Answers, rows: list[Row], ids: list[list[int]], steps: Sequence[Clean]) -> None:
    sent = [row._replace(text=as_people_send(row.text, steps)) for row in rows]
    for form in (rows, sent):
        read = classifier.read([row.instance() for row in form])
        wrong = [index for index, found in enumerate(read) if found != ids[index]]
        if wrong:
            first = wrong[0]
            raise _differs(
                f"the server reads {len(wrong)} of {len(rows)} test rows otherwise than training did, for example "
                f"{form[first].text[:80]!r} as tokens {read[first][:10]} instead of {ids[first][:10]}: {RELEASE}"
            )


def _check_labels(
    classifier: Answers, rows: list[Row], expected: np.ndarray, labels: list[str], rounding: float
) -> None:
    """Rows whose two likeliest classes are closer than `rounding` may be answered either way."""
    answers = classifier.predict([row.instance() for row in rows])
    ordered = np.sort(expected, axis=-1)
    sure = ordered[:, -1] - ordered[:, -2] > rounding
    wanted = [labels[number] for number in expected.argmax(axis=-1)]
    wrong = [index for index in np.flatnonzero(sure) if answers[index].label != wanted[index]]
    if wrong:
        raise _differs(
            f"the server answers {len(wrong)} of {len(rows)} test rows with another class than the trained model, for "
            f"example {rows[wrong[0]].text[:80]!r} with {answers[wrong[0]].label!r} instead of "
            f"{wanted[wrong[0]]!r}: {RELEASE}"
        )


def _check_odd_texts(classifier: Answers) -> None:
    """A request that may come must not fail in the served model."""
    for texts in ([text] for text in ODD):
        told = f"the exported model cannot answer the text {texts[0][:40]!r}, which a request may hold"
        remedy = "set spec.export to [safetensors], or choose another spec.from.base"
        try:
            scores = classifier.predict(texts)[0].scores
        except Exception as fault:
            raise _differs(f"{told} ({' '.join(str(fault).split())[:200]}): {remedy}") from fault
        if not np.isfinite(list(scores.values())).all():
            raise _differs(f"{told} (its scores are no numbers): {remedy}")


def _differs(message: str) -> TrainerError:
    return TrainerError(ExitCode.EXPORT_DIFFERS, message)
