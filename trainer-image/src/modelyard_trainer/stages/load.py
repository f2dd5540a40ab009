"""Loads tokenizer and model, and encodes the rows."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from modelyard_trainer import trial
from modelyard_trainer.base_config import length_of, limit_of, read_config, text_part
from modelyard_trainer.errors import bad_base, out_of_memory
from modelyard_trainer.run import TrainRun
from modelyard_trainer.safe import check_folder
from modelyard_trainer.tasks import task_named
from modelyard_trainer.vocabulary import check_size, pad_id_of

log = logging.getLogger(__name__)
CHUNK = 4096


def execute(run: TrainRun) -> None:
    """Leave run.labels, run.max_length, run.tokenizer, run.encoded and run.model, tried on two rows."""
    left_out = check_folder(run.base)
    if left_out:
        run.figures["left_out"] = [*run.figures.get("left_out", ()), *left_out]
        log.warning("settings that could bring code were taken out: %s", ", ".join(left_out))
    config = read_config(run.base)
    task = task_named(run.config.task)
    task.check_kind(config)
    run.labels = task.labels_of([row.label for row in run.side("train")])
    run.max_length = length_of(run.config.input, run.config.by_recipe, limit_of(config))
    _load_tokenizer(run, config)
    run.longest = limit_of(config)
    run.encoded = {side: _encode(run, side) for side in run.rows}
    load_model(run)
    if run.part != "publish":
        trial.execute(run)


def _load_tokenizer(run: TrainRun, config: Any) -> None:
    try:
        tokenizer = task_named(run.config.task).load_tokenizer(run.base, run.max_length)
    except Exception as fault:
        raise bad_base(f"tokenizer.json of spec.from.base cannot be read ({fault}): upload the model again") from fault
    check_size(tokenizer, config.vocab_size)
    run.pad_id = pad_id_of(tokenizer, config, run.base, config.vocab_size)
    tokenizer.enable_padding(pad_id=run.pad_id, pad_token=tokenizer.id_to_token(run.pad_id) or "")
    run.tokenizer = tokenizer


def _encode(run: TrainRun, side: str) -> list[np.ndarray]:
    """Token ids per row, read from what a request would hold; rows that were cut are counted in the figures."""
    task, instances = task_named(run.config.task), [row.instance() for row in run.side(side)]
    texts = (task.texts_of(instances[at : at + CHUNK], run.prepare) for at in range(0, len(instances), CHUNK))
    found, cut = [], 0
    for row in (row for part in texts for row in task.readings(run.tokenizer, part)):
        found.append(np.asarray(row.ids, dtype=np.int32))
        cut += row.cut
    share = round(cut / len(found), 6) if found else 0.0
    run.figures.setdefault("truncated", {})[side] = {"rows": cut, "share": share}
    return found


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
            f"spec.from.base ({run.config.base.uri}, type '{read_config(run.base).model_type}') cannot be loaded for "
            f"{run.config.task}: {reason}"
        ) from fault
    text_part(run.model.config).pad_token_id = run.pad_id
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
