"""Text classifiers of the transformers library: from a base, or from the version that the run goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modelyard_trainer import going_on
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.text_base import label_settings, load_pretrained, read_config
from modelyard_trainer.tasks.texts import TextReader


def classifier_config(run: TrainRun) -> Any:
    """The base's configuration; BASE_INVALID if the library makes no text classifier of such a model."""
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    config = read_config(run.base)
    if config.model_type not in CLASSIFIERS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', of which transformers {__version__} makes no "
            "text classifier: choose a text model, such as bert, roberta, deberta-v2, modernbert, gpt2, llama or qwen2"
        )
    return config


def load_classifier(run: TrainRun, reader: TextReader, labels: Sequence[str], problem: str) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per class, and the names of weights that start untrained.

    `problem`: what the library calls it, for its loss.
    """
    from transformers import AutoModelForSequenceClassification

    model, new = load_pretrained(
        AutoModelForSequenceClassification, run.base, reader.pad_id, **label_settings(labels), problem_type=problem
    )
    return model, going_on.with_classes(run, model, labels, new)
