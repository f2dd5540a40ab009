"""Reads the rows as the model will, and loads or makes the model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from modelyard_trainer import machine, trial
from modelyard_trainer.base_config import read_config
from modelyard_trainer.data.readings import Anew, Reader, Readings, Saved, kept
from modelyard_trainer.errors import TrainerError, bad_base, bad_config, out_of_memory
from modelyard_trainer.run import TrainRun
from modelyard_trainer.safe import check_folder
from modelyard_trainer.tasks import learner_of
from modelyard_trainer.tasks.protocols import KeepingCodec

log = logging.getLogger(__name__)


def execute(run: TrainRun) -> None:
    """Leave run.codec, run.read and run.model, tried on two rows."""
    left_out = check_folder(run.base) if run.config.base or run.part else []
    if left_out:
        run.figures["left_out"] = [*run.figures.get("left_out", ()), *left_out]
        log.warning("settings that could bring code were taken out: %s", ", ".join(left_out))
    run.codec = learner_of(run.config.task).fit(run)
    run.read = read(run, machine.cpu_limit())
    load_model(run)
    if run.part != "publish":
        trial.execute(run)


def read(run: TrainRun, processes: int) -> dict[str, Readings]:
    """Read from what a request would hold; rows that were cut are counted in the figures."""
    task, codec = run.config.task, run.codec
    found: Mapping[str, Readings]
    if codec.one_size is not None:
        found = {split: Anew(codec, rows, task) for split, rows in run.rows.items()}
    else:
        folder = run.folder("codec")
        saved = Saved(folder, codec.save(folder), codec.labels)
        known_as = f"{run.config.dataset.digest} {run.config.image}"
        reader = Reader(task, cast(KeepingCodec, codec), run.rows)
        found = kept(reader, saved, known_as, run.folder("read"), processes, run.stop.check)
    cut = {split: {"rows": one.cut, "share": round(one.cut / max(1, len(one)), 6)} for split, one in found.items()}
    run.figures["truncated"] = cut
    return dict(found)


def load_model(run: TrainRun) -> None:
    """Leave run.model as the base and the seed make it, each time the same, and run.fresh."""
    from transformers import set_seed
    from transformers.utils import logging as library_logging

    library_logging.set_verbosity_error()
    library_logging.disable_progress_bar()
    set_seed(run.config.train.seed)
    try:
        run.model, new = learner_of(run.config.task).load_model(run, run.codec)
    except Exception as fault:
        reason = str(fault).strip().splitlines()[0][:400] if str(fault).strip() else type(fault).__name__
        raise out_of_memory(fault) or _not_loaded(run, reason) from fault
    run.fresh = _fresh_modules(run.model, new)
    run.figures["parameters"] = sum(weight.numel() for weight in run.model.parameters())


def _not_loaded(run: TrainRun, reason: str) -> TrainerError:
    if run.config.base is None:
        return bad_config(f"spec.from.scratch.{run.config.scratch} cannot be made for {run.config.task}: {reason}")
    if run.config.base.version:
        told = f"spec.from.version: {run.config.base.version.name} cannot be loaded for {run.config.task}: {reason}"
        return bad_base(f"{told}; name another version")
    kind = read_config(run.base).model_type
    return bad_base(
        f"spec.from.base ({run.config.base.uri}, type '{kind}') cannot be loaded for {run.config.task}: {reason}"
    )


def _fresh_modules(model: Any, new: list[str]) -> list[str]:
    """Modules that start untrained: the head and a pooler; other missing weights mean that the files do not fit."""
    if not new:
        return []
    inside = [name for name in new if name.startswith(f"{model.base_model_prefix}.")]
    unfit = [name for name in inside if "pooler" not in name]
    if unfit:
        raise bad_base(
            f"{len(unfit)} weights of spec.from.base are missing or of another size than config.json says "
            f"({', '.join(unfit[:3])} ...): the files do not belong together"
        )
    return sorted({name.rpartition(".")[0] for name in new})
