"""Texts in, summaries out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.tasks.classes import rounded
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.seq2seq_codec import Rewriter
from modelyard_trainer.tasks.summarization.rouge import rouge

KIND = TASKS["summarization"]


class Summarizer(Rewriter):
    """Codec of a summarizer."""

    source, target = "text", "summary"

    def measure(self, answers: Sequence[Answer], rows: Sequence[Fields]) -> Metrics:
        """Mean ROUGE of the rows."""
        found = [rouge(answer["text"], row[self.target]) for answer, row in zip(answers, rows, strict=True)]
        names = KIND.named(per_class=False)
        values = {name: rounded(sum(one[name] for one in found) / max(len(found), 1)) for name in names}
        return Metrics(set_=TEST, primary=KIND.primary, values=values)


def load(folder: Path, settings: dict[str, Any], labels: list[str]) -> Summarizer:
    """From a version's folder."""
    return Summarizer.load(folder, settings)
