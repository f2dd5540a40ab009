"""Text classifiers of the transformers library with a yes or no for each label."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from modelyard_trainer.baselines import label_scores
from modelyard_trainer.errors import bad_data
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, sequence_classifier, text_base
from modelyard_trainer.tasks.multi_label_classification.codec import Labeller
from modelyard_trainer.tasks.protocols import Answer, Codec, Fields, Part, Reading

ADAPTER_TASK = "SEQ_CLS"
LINEAR_PROBE = True
augmented = learning.unchanged
collate, items, judged = learning.with_class_numbers, learning.rows_in, learning.judged_by_logits


def fit(run: TrainRun) -> Labeller:
    """The codec for the training rows' labels and the base's tokenizer."""
    config = sequence_classifier.classifier_config(run)
    return Labeller(text_base.fit_reader(run, config), labels_of(run.rows["train"]))


def labels_of(rows: Sequence[Fields]) -> list[str]:
    """The labels of training rows in the order of the model's outputs."""
    found = sorted({label for row in rows for label in row["labels"]})
    if not found:
        raise bad_data("no training row has a label: check spec.source.columns.labels of the Dataset")
    return found


def load_model(run: TrainRun, codec: Labeller) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per label, and the names of weights that the folder did not bring."""
    return sequence_classifier.load_classifier(run, codec.reader, codec.labels, "multi_label_classification")


def guessing(codec: Codec) -> float:
    """The mean loss of one that holds each label for as likely as not."""
    return math.log(2)


def targets(codec: Labeller, row: Fields, reading: Reading) -> np.ndarray:
    """1 for each label that the row has."""
    return codec.truth(row)


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids and mask -> logits."""
    return {"model": text_base.encoder_part(model)}


def baselines(codec: Labeller) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The commonest labels, and word counts with a logistic regression per label, by thresholds of the same rule."""
    return {"commonest_labels": commonest, "tfidf_logistic_regression": partial(by_words, codec)}


def commonest(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """So many of the commonest labels for every row as are best for the training rows' micro F1."""
    ordered = Counter(label for row in train for label in row["labels"]).most_common()
    counts = np.array([count for _, count in ordered])
    f1 = 2 * np.cumsum(counts) / (len(train) * np.arange(1, len(counts) + 1) + counts.sum())
    return [{"labels": [label for label, _ in ordered[: int(f1.argmax()) + 1]]}] * len(test)


def by_words(codec: Labeller, train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Logistic regressions on TF-IDF; their thresholds are found on the rows that the model's were found on."""
    judging = codec.judging
    truth = np.array([codec.truth(row) for row in train])
    scores = label_scores(train, truth, [*judging, *test])
    found = Labeller(codec.reader, codec.labels)
    found.settle(list(scores[: len(judging)]), judging)
    return [found.decided(logits) for logits in scores[len(judging) :]]
