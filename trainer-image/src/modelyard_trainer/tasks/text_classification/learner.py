"""Text classifiers of the transformers library."""

from __future__ import annotations

from typing import Any

from modelyard_trainer import going_on
from modelyard_trainer.baselines import word_counts
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import classes, learning, text_base
from modelyard_trainer.tasks.protocols import Part
from modelyard_trainer.tasks.text_classification.codec import TextClassifier

ADAPTER_TASK = "SEQ_CLS"
LINEAR_PROBE = True
guessing, targets, augmented = learning.all_as_likely, learning.class_number, learning.unchanged
collate, items, judged = learning.with_class_numbers, learning.rows_in, learning.judged_by_logits


def fit(run: TrainRun) -> TextClassifier:
    """The codec for the rows' classes and the base's tokenizer."""
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    config = text_base.read_config(run.base)
    if config.model_type not in CLASSIFIERS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', of which transformers {__version__} makes no "
            "text classifier: choose a text model, such as bert, roberta, deberta-v2, modernbert, gpt2, llama or qwen2"
        )
    return TextClassifier(text_base.fit_reader(run, config), classes.labels_of(run.rows["train"]))


def load_model(run: TrainRun, codec: TextClassifier) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per class, and the names of weights that the folder did not bring."""
    from transformers import AutoModelForSequenceClassification

    model, new = text_base.load_pretrained(
        AutoModelForSequenceClassification,
        run.base,
        codec.reader.pad_id,
        **text_base.label_settings(codec.labels),
        problem_type="single_label_classification",
    )
    return model, going_on.with_classes(run, model, codec.labels, new)


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids and mask -> logits."""
    return {"model": text_base.encoder_part(model)}


def baselines(codec: TextClassifier) -> dict[str, Any]:
    """The commonest class, and word counts with logistic regression."""
    return {"majority": classes.majority, "tfidf_logistic_regression": word_counts}
