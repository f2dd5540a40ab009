"""Bases that read texts: what their folder must hold, and how it becomes a reader and a torch model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modelyard_trainer.base_config import length_of, limit_of, read_config, text_part
from modelyard_trainer.errors import bad_base
from modelyard_trainer.run import TrainRun
from modelyard_trainer.tasks.protocols import Arrays, Part
from modelyard_trainer.tasks.texts import TextReader, load_tokenizer
from modelyard_trainer.vocabulary import check_size, pad_id_of

BESIDE = ("tokenizer_config.json", "special_tokens_map.json")
"""What other libraries read beside tokenizer.json."""


def fit_reader(run: TrainRun, config: Any) -> TextReader:
    """How the base's tokenizer reads the run's rows; leaves run.longest."""
    run.longest = limit_of(config)
    max_length = length_of(run.config.input, run.config.by_recipe, run.longest)
    try:
        tokenizer = load_tokenizer(run.base, max_length)
    except Exception as fault:
        raise bad_base(f"tokenizer.json of spec.from.base cannot be read ({fault}): upload the model again") from fault
    check_size(tokenizer, config.vocab_size)
    pad_id = pad_id_of(tokenizer, config, run.base, config.vocab_size)
    tokenizer.no_padding()
    found = beside(run.base)
    if BESIDE[0] in found:
        found[BESIDE[0]]["model_max_length"] = max_length
    return TextReader(tokenizer, pad_id, max_length, run.prepare, found)


def beside(base: Path) -> dict[str, Any]:
    """Contents of a base's files that other libraries read beside tokenizer.json, by name."""
    return {name: json.loads(path.read_text()) for name in BESIDE if (path := base / name).exists()}


def load_pretrained(auto: Any, folder: Path, pad_id: int, **settings: Any) -> tuple[Any, list[str]]:
    """A torch model in fp32 by a class of the library, and the names of weights that the folder did not bring."""
    import torch

    model, info = auto.from_pretrained(
        str(folder),
        pad_token_id=pad_id,
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
        **settings,
    )
    text_part(model.config).pad_token_id = pad_id
    new = {
        name if isinstance(name, str) else name[0] for key in ("missing_keys", "mismatched_keys") for name in info[key]
    }
    return model, sorted(new)


def label_settings(labels: Sequence[str]) -> dict[str, Any]:
    """How the library is told of the classes."""
    numbers = dict(enumerate(labels))
    return {"num_labels": len(labels), "id2label": numbers, "label2id": {label: n for n, label in numbers.items()}}


def encoder_part(model: Any) -> Part:
    """One pass through a model: token ids and mask (rows, tokens) -> logits; any number of rows and tokens."""
    import torch

    class Logits(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids=input_ids, attention_mask=attention_mask).logits

    example: Arrays = {name: np.ones((2, 8), dtype=np.int64) for name in ("input_ids", "attention_mask")}
    return Part(Logits().eval(), example, ("logits",), {name: (0, 1) for name in example})


__all__ = ["encoder_part", "fit_reader", "label_settings", "load_pretrained", "read_config"]
