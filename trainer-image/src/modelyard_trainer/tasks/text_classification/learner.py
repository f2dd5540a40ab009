"""Text classifiers of the transformers library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modelyard_trainer.baselines import word_counts
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import classes, text_base
from modelyard_trainer.tasks.protocols import Fields, Part, Reading
from modelyard_trainer.tasks.text_classification.codec import TextClassifier

ADAPTER_TASK = "SEQ_CLS"
LINEAR_PROBE = True


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

    return text_base.load_pretrained(
        AutoModelForSequenceClassification,
        run.base,
        codec.reader.pad_id,
        **text_base.label_settings(codec.labels),
        problem_type="single_label_classification",
    )


def guessing(codec: TextClassifier) -> float:
    """The loss of one that knows nothing of a row."""
    return math.log(len(codec.labels))


def targets(codec: TextClassifier, row: Fields, reading: Reading) -> int:
    """The number of the row's class."""
    return codec.number[row["label"]]


def augmented(codec: TextClassifier, reading: Reading, target: int, draw: Any) -> tuple[Reading, int]:
    """As it is."""
    return reading, target


def collate(codec: TextClassifier, readings: Sequence[Reading], targets: Sequence[int]) -> dict[str, Any]:
    """Token ids, mask, and class numbers."""
    import torch

    inputs = {name: torch.from_numpy(value) for name, value in codec.batch(readings).items()}
    return {**inputs, "labels": torch.tensor(targets)}


def items(inputs: Mapping[str, Any]) -> int:
    """The loss is a mean over rows."""
    return len(inputs["labels"])


def judged(
    model: Any, inputs: Mapping[str, Any], codec: TextClassifier, readings: Sequence[Reading]
) -> tuple[float, list[np.ndarray]]:
    """Loss and logits."""
    found = model(**inputs)
    return float(found.loss), codec.outputs({"logits": found.logits.float().cpu().numpy()}, readings)


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids and mask -> logits."""
    return {"model": text_base.encoder_part(model)}


def baselines(codec: TextClassifier) -> dict[str, Any]:
    """The commonest class, and word counts with logistic regression."""
    return {"majority": classes.majority, "tfidf_logistic_regression": word_counts}
