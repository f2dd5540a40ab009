"""Texts in, translations out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.seq2seq_codec import Rewriter

KIND = TASKS["translation"]


class Translator(Rewriter):
    """Codec of a translator.

    Copied rows teach a small model to let names stand (Currey et al., "Copied Monolingual Data Improves Low-Resource
    Neural Machine Translation", WMT 2017).
    """

    source, target = "source", "target"
    copies = 0.3

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """chrF2 and BLEU over all rows, as sacrebleu counts them with its defaults."""
        from sacrebleu import corpus_bleu, corpus_chrf

        found, wanted = [answer["text"] for answer in answers], [[row[self.target] for row in rows]]
        values = {"chrf": corpus_chrf(found, wanted).score, "bleu": corpus_bleu(found, wanted).score}
        rounded = {name: round(float(value), 4) for name, value in values.items()}
        return Metrics(set_=TEST, primary=KIND.primary, values=rounded)


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Translator:
    """From a version's folder."""
    return Translator.load(folder, settings)
