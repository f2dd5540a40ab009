"""Token classifiers of the transformers library."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from modelyard_trainer import going_on
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks import learning, text_base
from modelyard_trainer.tasks.protocols import Answer, Fields, Part, Reading
from modelyard_trainer.tasks.token_classification.codec import Kept, Tagger
from modelyard_trainer.tasks.token_classification.rows import classes
from modelyard_trainer.tasks.token_classification.words import OUTSIDE, spans_of

ADAPTER_TASK = "TOKEN_CLS"
LINEAR_PROBE = False
guessing, augmented = learning.all_as_likely, learning.unchanged
items, judged = learning.numbers_that_count, learning.judged_by_logits


def fit(run: TrainRun) -> Tagger:
    """The codec for the rows' types of entities and the base's tokenizer."""
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES as TAGGERS

    config = text_base.read_config(run.base)
    if config.model_type not in TAGGERS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', of which transformers {__version__} makes no "
            "token classifier: choose a text encoder, such as bert, roberta, deberta-v2 or modernbert"
        )
    return Tagger(text_base.fit_reader(run, config), labels_of(run.rows["train"]))


def labels_of(rows: Sequence[Fields]) -> list[str]:
    """The tags of training rows in the order of the model's outputs: O, then B- and I- of each type."""
    types = sorted({label for row in rows for label in classes(row)})
    return [OUTSIDE, *(f"{mark}-{label}" for label in types for mark in "BI")]


def load_model(run: TrainRun, codec: Tagger) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per tag, and the names of weights that the folder did not bring."""
    from transformers import AutoModelForTokenClassification

    settings = text_base.label_settings(codec.labels)
    model, new = text_base.load_pretrained(AutoModelForTokenClassification, run.base, codec.reader.pad_id, **settings)
    return model, going_on.with_classes(run, model, codec.labels, new)


def targets(codec: Tagger, row: Fields, reading: Reading) -> np.ndarray:
    """Per token the number of its word's tag at the first token of a word; others do not count.

    A row of which no word is read counts by its first token, as outside: a batch of nothing has no loss.
    """
    kept: Kept = reading.kept
    found: np.ndarray = np.full(max(reading.size, 1), learning.IGNORED, dtype=np.int64)
    found[kept.first[kept.read]] = [codec.number[row["tags"][word]] for word in kept.read]
    if not len(kept.read):
        found[0] = codec.number[OUTSIDE]
    return found


def collate(codec: Tagger, readings: Sequence[Reading], targets: Sequence[np.ndarray]) -> dict[str, Any]:
    """Token ids, mask, and tag numbers; a row of no tokens reads one pad."""
    return learning.with_sequences(codec, readings, targets, max(map(len, targets)))


def parts(model: Any) -> dict[str, Part]:
    """One pass: token ids and mask -> logits per token."""
    return {"model": text_base.encoder_part(model)}


def baselines(codec: Tagger) -> Mapping[str, Callable[[Sequence[Fields], Sequence[Fields]], list[Answer]]]:
    """The tag that each word has most often in the training rows; words that are not there are outside."""
    return {"commonest_tag_of_word": commonest_tags}


def commonest_tags(train: Sequence[Fields], test: Sequence[Fields]) -> list[Answer]:
    """Answers of somebody who knows each word alone."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in train:
        for token, tag in zip(row["tokens"], row["tags"], strict=True):
            counts[token][tag] += 1
    usual = {token: found.most_common(1)[0][0] for token, found in counts.items()}
    return [
        {"entities": [span._asdict() for span in spans_of([usual.get(token, OUTSIDE) for token in row["tokens"]])]}
        for row in test
    ]
