"""Loads tokenizer and model, and encodes the rows."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from modelyard import names
from modelyard_trainer.errors import bad_base, bad_config, out_of_memory
from modelyard_trainer.run import TrainRun
from modelyard_trainer.safe import check_folder
from modelyard_trainer.tasks import task_named

log = logging.getLogger(__name__)
CHUNK = 4096
LEARNED_POSITIONS = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "xmod")
"""Types of models that count positions from behind the padding id."""


def execute(run: TrainRun) -> None:
    """Leave run.labels, run.tokenizer, run.encoded and run.model."""
    left_out = check_folder(run.base)
    if left_out:
        run.figures["left_out"] = [*run.figures.get("left_out", ()), *left_out]
        log.warning("settings that could bring code were taken out: %s", ", ".join(left_out))
    settings = _settings(run.base)
    task = task_named(run.config.task)
    run.labels = task.labels_of([row.label for row in run.side("train")])
    _check_length(run, settings)
    _load_tokenizer(run, settings)
    run.encoded = {side: _encode(run, [row.text for row in rows]) for side, rows in run.rows.items()}
    load_model(run)


def _settings(base: Path) -> dict[str, Any]:
    """config.json of a model that the library knows."""
    settings: dict[str, Any] = json.loads((base / "config.json").read_text())
    if not isinstance(settings.get("model_type"), str):
        raise bad_base("config.json of spec.from.base has no model_type: only models of the transformers library load")
    if "quantization_config" in settings:
        raise bad_base("spec.from.base is quantized: use the unquantized model", names.BASE_INVALID)
    return settings


def _check_length(run: TrainRun, settings: dict[str, Any]) -> None:
    positions = settings.get("max_position_embeddings")
    if not isinstance(positions, int) or positions <= 0:
        return
    if settings["model_type"] in LEARNED_POSITIONS:
        positions -= int(settings.get("pad_token_id") or 0) + 1
    if run.config.train.max_length > positions:
        raise bad_config(
            f"spec.train.maxLength is {run.config.train.max_length}, but the base model takes at most {positions} "
            f"tokens: set it to {positions} or less"
        )


def _load_tokenizer(run: TrainRun, settings: dict[str, Any]) -> None:
    try:
        tokenizer = task_named(run.config.task).load_tokenizer(run.base, run.config.train.max_length)
    except Exception as fault:
        raise bad_base(f"tokenizer.json of spec.from.base cannot be read ({fault}): upload the model again") from fault
    run.pad_id = _pad_id(tokenizer, settings)
    token = tokenizer.id_to_token(run.pad_id) or ""
    tokenizer.enable_padding(pad_id=run.pad_id, pad_token=token)
    if tokenizer.get_vocab_size() > int(settings.get("vocab_size", 1 << 40)):
        raise bad_base(
            f"tokenizer.json of spec.from.base has {tokenizer.get_vocab_size()} tokens, but the model only "
            f"{settings['vocab_size']}: they belong to different models"
        )
    run.tokenizer = tokenizer


def _pad_id(tokenizer: Any, settings: dict[str, Any]) -> int:
    """From the model's settings, else the tokenizer's, else its end token (models that were never padded)."""
    candidates = [
        settings.get("pad_token_id"),
        (tokenizer.padding or {}).get("pad_id"),
        *(tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>")),
        settings.get("eos_token_id"),
    ]
    return next((found for found in candidates if isinstance(found, int) and found >= 0), 0)


def _encode(run: TrainRun, texts: list[str]) -> list[np.ndarray]:
    task, parts = task_named(run.config.task), range(0, len(texts), CHUNK)
    rows = (row for at in parts for row in task.token_ids(run.tokenizer, texts[at : at + CHUNK]))
    return [np.asarray(row, dtype=np.int32) for row in rows]


def load_model(run: TrainRun) -> None:
    """Leave run.model as the base and the seed make it, each time the same, and run.fresh."""
    from transformers import set_seed
    from transformers.utils import logging as library_logging

    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    set_seed(run.config.train.seed)
    try:
        run.model, new = task_named(run.config.task).load_model(run.base, run.labels, run.pad_id)
    except Exception as fault:
        reason = str(fault).strip().splitlines()[0][:400] if str(fault).strip() else type(fault).__name__
        raise out_of_memory(fault) or bad_base(
            f"spec.from.base ({run.config.base.uri}, type '{_settings(run.base)['model_type']}') cannot be loaded for "
            f"{run.config.task}: {reason}"
        ) from fault
    run.fresh = _fresh_modules(run.model, new)
    run.figures["parameters"] = sum(weight.numel() for weight in run.model.parameters())


def _fresh_modules(model: Any, new: list[str]) -> list[str]:
    """Modules that start untrained: the head and a pooler; other missing weights mean that the files do not fit."""
    inside = [name for name in new if name.startswith(f"{model.base_model_prefix}.")]
    unfit = [name for name in inside if "pooler" not in name]
    if unfit:
        raise bad_base(
            f"{len(unfit)} weights of spec.from.base are missing or of another size than config.json says "
            f"({', '.join(unfit[:3])} ...): the files do not belong together"
        )
    return sorted({name.rpartition(".")[0] for name in new})
