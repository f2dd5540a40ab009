"""Translators: an encoder with a decoder, from a base or from scratch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, seq2seq
from modelyard_trainer.tasks.protocols import Answer, Fields
from modelyard_trainer.tasks.translation.codec import Translator

ADAPTER_TASK = seq2seq.ADAPTER_TASK
LINEAR_PROBE = False
load_model, guessing, targets, augmented = seq2seq.load_model, seq2seq.guessing, seq2seq.targets, seq2seq.augmented
collate, items, judged, parts = seq2seq.collate, learning.numbers_that_count, seq2seq.judged, seq2seq.parts
commonest_target = partial(seq2seq.commonest, Translator.target)


def fit(run: TrainRun) -> Translator:
    """The codec for the base's tokenizer, or for one that is learned from the training rows."""
    return seq2seq.fit(run, Translator)


def baselines(codec: Translator) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The commonest translation for every text, and each text as its own translation."""
    return {"commonest_target": commonest_target, "copy_source": copied}


def copied(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Each text as it is."""
    return [{"text": row["source"]} for row in test]
