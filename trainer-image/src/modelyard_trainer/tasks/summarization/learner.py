"""Summarizers: an encoder with a decoder, from a base or from scratch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, seq2seq
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.summarization.codec import Summarizer

ADAPTER_TASK = seq2seq.ADAPTER_TASK
LINEAR_PROBE = False
load_model, guessing, targets, augmented = seq2seq.load_model, seq2seq.guessing, seq2seq.targets, seq2seq.augmented
collate, items, judged, parts = seq2seq.collate, learning.numbers_that_count, seq2seq.judged, seq2seq.parts


def fit(run: TrainRun) -> Summarizer:
    """The codec for the base's tokenizer, or for one that is learned from the training rows."""
    return seq2seq.fit(run, Summarizer)


def baselines(codec: Summarizer) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The first words of each text, as many as summaries have, and the commonest summary for every text."""
    return {"first_words": first_words, "commonest_summary": partial(seq2seq.commonest, Summarizer.target)}


def first_words(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """So many words of each text as the median summary of the training rows has."""
    most = round(statistics.median(len(row["summary"].split()) for row in train))
    return [{"text": " ".join(row["text"].split()[:most])} for row in test]
