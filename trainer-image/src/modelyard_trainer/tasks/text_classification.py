"""One class for a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from modelyard.api.dataset import Clean
from modelyard.api.modelversion import TEST, Metrics
from modelyard.api.tasks import TASKS
from modelyard_trainer.data.clean import prepared
from modelyard_trainer.errors import bad_base

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KIND = TASKS["text-classification"]
ADAPTER_TASK = "SEQ_CLS"
"""What peft calls this task."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The likeliest class, its probability, and the probability of every class."""

    label: str
    score: float
    scores: dict[str, float]


class Reading(NamedTuple):
    """What the model reads of a text."""

    ids: list[int]
    cut: bool


def parse(instance: Any) -> str:
    """The text of one instance of a request: {"text": ...}, a string or its UTF-8 bytes; ValueError says what it is."""
    if isinstance(instance, dict):
        if "text" not in instance:
            raise ValueError("has no 'text'")
        instance = instance["text"]
    try:
        text = instance.decode() if isinstance(instance, bytes) else instance
        if isinstance(text, str) and text.encode() is not None:
            return text
    except UnicodeError as fault:
        raise ValueError(f"holds a text that is not valid Unicode: {fault}") from fault
    raise ValueError(f"must be a string, not {type(instance).__name__}")


def texts_of(instances: Sequence[Any], prepare: Sequence[Clean]) -> list[str]:
    """The texts that the tokenizer gets; rows of training and requests go through here alike."""
    return [prepared(parse(instance), prepare) for instance in instances]


def load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    """The folder's tokenizer.json, cutting at max_length tokens; padding is left to `pad`.

    What looks like a special token in a text ("</s>", "[SEP]") is text like any other.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    _break_up_pieces(tokenizer)
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _break_up_pieces(tokenizer: Tokenizer) -> None:
    """Sentencepiece lists special tokens among its pieces, so a text could still spell them: put a space inside."""
    from tokenizers import normalizers

    special = [
        (number, token.content) for number, token in tokenizer.get_added_tokens_decoder().items() if token.special
    ]
    spelt = [text for number, text in special if number in tokenizer.encode(text, add_special_tokens=False).ids]
    if spelt:
        before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        broken = [normalizers.Replace(text, f"{text[:1]} {text[1:]}") for text in spelt]
        tokenizer.normalizer = normalizers.Sequence([*before, *broken])


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Token ids per text, special tokens included, without padding."""
    return [row.ids for row in readings(tokenizer, texts)]


def readings(tokenizer: Tokenizer, texts: list[str]) -> list[Reading]:
    """Token ids per text, special tokens included, without padding, and whether the text was cut."""
    padding = tokenizer.padding
    if padding:
        tokenizer.no_padding()
    most = tokenizer.truncation["max_length"] if tokenizer.truncation else math.inf
    # Only a full row may have been cut, and what was cut off is costly to look at.
    found = [
        Reading(ids := encoding.ids, len(ids) >= most and bool(encoding.overflowing))
        for encoding in tokenizer.encode_batch_fast(texts)
    ]
    if padding:
        tokenizer.enable_padding(**padding)
    return found


def pad(rows: Sequence[Sequence[int]], pad_id: int) -> dict[str, np.ndarray]:
    """int64 arrays input_ids and attention_mask of shape (rows, longest row); a row of no tokens reads one pad."""
    longest = max((len(row) for row in rows), default=1) or 1
    ids: np.ndarray = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask: np.ndarray = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row) or 1] = 1
    return {"input_ids": ids, "attention_mask": mask}


def encode(tokenizer: Tokenizer, texts: list[str]) -> dict[str, np.ndarray]:
    """The inputs of a published model (ONNX or torch) for texts."""
    return pad(token_ids(tokenizer, texts), pad_id_of(tokenizer))


def pad_id_of(tokenizer: Tokenizer) -> int:
    """Token id that fills short rows; the attention mask hides it, so any id does where none is set."""
    padding = tokenizer.padding
    return int(padding["pad_id"]) if padding else 0


def decode(logits: np.ndarray, labels: list[str]) -> list[Prediction]:
    """Predictions from logits of shape (rows, classes)."""
    return [_prediction(row, labels) for row in softmax(logits)]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis."""
    powers: np.ndarray = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return shares


def labels_of(values: list[str]) -> list[str]:
    """The classes of a dataset in the order of the model's outputs."""
    return sorted(set(values))


def measure(logits: np.ndarray, truth: list[int], labels: list[str]) -> Metrics:
    """Quality of logits (rows, classes) against class numbers; a class that is never predicted has precision 0.

    A class that no row has and no answer names is left out, as scikit-learn does.
    """
    count = len(labels)
    table: np.ndarray = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (np.asarray(truth, dtype=np.int64), logits.argmax(axis=-1)), 1)
    seen = (table.sum(axis=0) + table.sum(axis=1)) > 0
    classes = {label: _class_metrics(table, index) for index, label in enumerate(labels) if seen[index]}
    values = {
        "macro_f1": _round(sum(found["f1"] for found in classes.values()) / max(len(classes), 1)),
        "accuracy": _round(_ratio(int(np.trace(table)), int(table.sum()))),
    }
    return Metrics(set_=TEST, primary=KIND.primary, values=values, per_class=classes)


def check_kind(config: Any) -> None:
    """BASE_INVALID for a type of model that the library has no text classifier for."""
    from transformers import __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as CLASSIFIERS

    if config.model_type not in CLASSIFIERS:
        raise bad_base(
            f"spec.from.base is a model of type '{config.model_type}', of which transformers {__version__} makes no "
            "text classifier: choose a text model, such as bert, roberta, deberta-v2, modernbert, gpt2, llama or qwen2"
        )


def load_model(folder: Path, labels: list[str], pad_id: int) -> tuple[Any, list[str]]:
    """A torch model in fp32 with one output per class, and the names of weights that the folder did not bring."""
    import torch
    from transformers import AutoModelForSequenceClassification

    numbers = dict(enumerate(labels))
    model, info = AutoModelForSequenceClassification.from_pretrained(
        str(folder),
        id2label=numbers,
        label2id={label: number for number, label in numbers.items()},
        num_labels=len(labels),
        problem_type="single_label_classification",
        pad_token_id=pad_id,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    new = {
        name if isinstance(name, str) else name[0] for key in ("missing_keys", "mismatched_keys") for name in info[key]
    }
    return model, sorted(new)


def _class_metrics(table: np.ndarray, index: int) -> dict[str, float]:
    hits, predicted, support = (int(n) for n in (table[index, index], table[:, index].sum(), table[index].sum()))
    return {
        "precision": _round(_ratio(hits, predicted)),
        "recall": _round(_ratio(hits, support)),
        "f1": _round(_ratio(2 * hits, predicted + support)),
        "support": support,
    }


def _prediction(row: np.ndarray, labels: list[str]) -> Prediction:
    scores = dict(zip(labels, row.tolist(), strict=True))
    best = labels[int(row.argmax())]
    return Prediction(best, scores[best], scores)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _round(value: float) -> float:
    return round(value, 6) if math.isfinite(value) else value
