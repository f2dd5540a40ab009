"""Text classifiers of the transformers library."""

from __future__ import annotations

from typing import Any

from modelyard_trainer.baselines import word_counts
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import classes, learning, sequence_classifier, text_base
from modelyard_trainer.tasks.protocols import Part
from modelyard_trainer.tasks.text_classification.codec import TextClassifier

ADAPTER_TASK = "SEQ_CLS"
LINEAR_PROBE = True
guessing, targets, augmented = learning.all_as_likely, learning.class_number, learning.unchanged
collate, items, judged = learning.with_class_numbers, learning.rows_in, learning.judged_by_logits


def fit(run: TrainRun) -> TextClassifier:
    """The codec for the rows' classes and the base's tokenizer."""
    config = sequence_classifier.classifier_config(run)
    return TextClassifier(text_base.fit_reader(run, config), classes.labels_of(run.rows["train"]))


def load_model(run: TrainRun, codec: TextClassifier) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per class, and the names of weights that the folder did not bring."""
    return sequence_classifier.load_classifier(run, codec.reader, codec.labels, "single_label_classification")


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids and mask -> logits."""
    return {"model": text_base.encoder_part(model)}


def baselines(codec: TextClassifier) -> dict[str, Any]:
    """The commonest class, and word counts with logistic regression."""
    return {"majority": classes.majority, "tfidf_logistic_regression": word_counts}
