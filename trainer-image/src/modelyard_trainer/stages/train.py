"""Trains, from the newest complete checkpoint if there is one."""

from __future__ import annotations

import logging
import math
import socket
import time
from pathlib import Path
from typing import Any

from modelyard.api import layout
from modelyard.api.tasks import TASKS
from modelyard.storage.errors import Missing
from modelyard_trainer import machine
from modelyard_trainer.best import Best, evaluations
from modelyard_trainer.checkpoints import Found, Keeper, Place, lowered_before, newest, remove_all
from modelyard_trainer.diverging import LOWER_BY, Diverged
from modelyard_trainer.errors import Interrupted, bad_config, out_of_memory
from modelyard_trainer.history import History, lines_until
from modelyard_trainer.linear_probe import start_head
from modelyard_trainer.predict import size_at_once
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stages import adapt, load
from modelyard_trainer.tasks import learner_of

log = logging.getLogger(__name__)
LOGGINGS = 50
"""Lines of history per epoch, about."""
SCHEDULES = {"linear": "linear", "cosine": "cosine", "constant": "constant_with_warmup"}
"""Words of the library for ours."""


def execute(run: TrainRun) -> None:
    """Leave run.model with the best weights that training came by; Interrupted if the pod was asked to stop.

    A run that diverges at its start goes back to it once, at a lower rate; NOT_A_NUMBER if that does not help.
    """
    place = Place(run.store, run.bucket, run.config.prefix, run.config.epoch)
    keeper = run.keeper = Keeper(place, run.config.checkpoint_keep)
    found = newest(place, run.folder("resume"))
    run.lowered = lowered_before(found)
    try:
        _train(run, keeper, found)
    except Diverged as fault:
        keeper.wait()
        remove_all(place)
        _lower(run, str(fault))
        _train(run, keeper, None)


def _lower(run: TrainRun, seen: str) -> None:
    """Back to the start: the same weights, the same order of rows, a lower rate."""
    rate = _learning_rate(run)
    run.lowered = {"from": rate, "to": rate / LOWER_BY, "seen": seen}
    log.warning("training diverged (%s): it starts again at the rate %g", seen, rate / LOWER_BY)
    run.model = None
    load.load_model(run)
    adapt.execute(run)


def _train(run: TrainRun, keeper: Keeper, found: Found | None) -> None:
    from modelyard_trainer.callbacks import Choosing, restore_method

    run.figures["resumed_from"] = found.step if found else 0
    run.progress.update(resumed_from=run.figures["resumed_from"])
    best = Best(run.folder("best-lowered" if run.lowered else "best"))
    choosing = Choosing(best, _patience(run), run.stop)
    history = _history(run, found)
    try:
        if found:
            best.take_over(found.folder)
            restore_method(run, found.folder)
        loop = _loop(run, _callbacks(run, keeper, best, history))
        choosing.attach(loop)
        if not found:
            _start(run, loop)
        _run(run, loop, found)
        if loop.state.global_step < loop.state.max_steps and not choosing.exhausted(loop.state):
            raise Interrupted
    except Interrupted:
        keeper.wait()  # the last checkpoint is on its way, and its upload ends with the process
        raise
    finally:
        history.close()
    run.model = loop.accelerator.unwrap_model(loop.model, keep_fp32_wrapper=False)
    best.restore(run.model)


def _start(run: TrainRun, loop: Any) -> None:
    if run.config.train.linear_probe and run.fresh and learner_of(run.config.task).LINEAR_PROBE:
        start_head(run, loop.model, loop.autocast_smart_context_manager())


def _run(run: TrainRun, loop: Any, found: Found | None) -> None:
    started = time.monotonic()
    run.stop.graceful = True
    try:
        run.stop.check()
        loop.train(resume_from_checkpoint=str(found.folder) if found else None)
    except RuntimeError as fault:
        raise out_of_memory(fault) or fault from fault
    finally:
        run.stop.graceful = False
    _figures(run, loop, loop.state.global_step - (found.step if found else 0), time.monotonic() - started)


def _figures(run: TrainRun, loop: Any, steps: int, seconds: float) -> None:
    """`steps` and `seconds` are this pod's; the loss is the last one that was logged, by whichever pod."""
    state = loop.state
    tokens = int(run.read["train"].sizes.sum()) * run.config.train.epochs * steps / state.max_steps
    losses = [line["loss"] for line in state.log_history if "loss" in line]
    run.figures |= {
        "steps": state.global_step,
        "tokens": round(tokens),
        "tokens_per_second": round(tokens / seconds, 1) if steps else None,
        "loss": round(losses[-1], 6) if losses and math.isfinite(losses[-1]) else None,
        "device": str(loop.args.device),
        "precision": "bf16" if loop.args.bf16 else "fp32",
        "threads": machine.set_threads(),
        "learning_rate": loop.args.learning_rate,
    }
    if run.lowered:
        run.figures["diverged"] = run.lowered
    made = evaluations(state.log_history)
    if made:
        best = max(made)
        task = TASKS[run.config.task]
        named = {f"validation_{task.primary}": task.metric(task.primary).score(best.metric)}
        run.figures |= {"best_step": best.step, "evaluations": len(made), **named}


def _patience(run: TrainRun) -> int | None:
    early = run.config.train.early_stopping
    return early.patience if early else None


def _learning_rate(run: TrainRun) -> float:
    if run.lowered:
        return float(run.lowered["to"])
    return run.config.train.learning_rate


def _callbacks(run: TrainRun, keeper: Keeper, best: Best, history: History) -> list[Any]:
    from modelyard_trainer.callbacks import Adapting, Checkpointing, Guard, Reporting

    guessing = learner_of(run.config.task).guessing(run.codec)
    guard = Guard(_learning_rate(run), guessing, run.lowered is not None)
    return [guard, Adapting(run), Reporting(run, history), Checkpointing(run, keeper, best)]


def _loop(run: TrainRun, callbacks: list[Any]) -> Any:
    from transformers import PrinterCallback

    from modelyard_trainer.loop import Loop

    loop = Loop(run, size_at_once(run), args=_arguments(run), callbacks=callbacks)
    loop.remove_callback(PrinterCallback)
    return loop


def _arguments(run: TrainRun) -> Any:
    from transformers import TrainingArguments

    train, at_once = run.config.train, run.config.micro_batch
    steps = run.steps
    return TrainingArguments(
        output_dir=str(run.folder("checkpoints")),
        num_train_epochs=train.epochs,
        per_device_train_batch_size=at_once,
        per_device_eval_batch_size=1,  # evaluation makes its own batches, by tokens
        gradient_accumulation_steps=math.ceil(train.batch_size / at_once),
        learning_rate=_learning_rate(run),
        lr_scheduler_type=SCHEDULES[train.schedule],
        weight_decay=train.weight_decay,
        warmup_steps=math.ceil(steps * train.warmup),
        seed=train.seed,
        logging_steps=max(1, steps // train.epochs // LOGGINGS),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        eval_strategy="no",  # Choosing evaluates
        save_strategy="no",  # Checkpointing saves
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
        **_device_arguments(train.precision),
    )


def _device_arguments(precision: str) -> dict[str, Any]:
    """GPU if there is one; bf16 only where the hardware multiplies it."""
    import torch

    gpu = torch.cuda.is_available()
    able = torch.cuda.is_bf16_supported(including_emulation=False) if gpu else machine.cpu_has_bf16()
    if precision == "bf16" and not able:
        raise bad_config(
            f"spec.train.precision is bf16, but this machine's {'GPU' if gpu else 'CPU'} only emulates it, many times "
            "slower than fp32: set it to auto or fp32, or choose other nodes in the TrainingProfile"
        )
    return {"bf16": able and precision != "fp32", "use_cpu": not gpu, "dataloader_pin_memory": gpu}


def _history(run: TrainRun, found: Found | None) -> History:
    def upload(path: Path, name: str) -> None:
        run.quick.upload(run.bucket, run.config.prefix + _named_by_pod(name), path)

    return History(run.folder("history"), upload, _earlier(run, found))


def _named_by_pod(name: str) -> str:
    """Event files carry the host's name already; a folder per pod keeps two attempts apart in TensorBoard."""
    folder, _, file = name.rpartition("/")
    return f"{folder}/{socket.gethostname()}/{file}" if folder else name


def _earlier(run: TrainRun, found: Found | None) -> list[str]:
    if found is None:
        return []
    try:
        text = run.store.get(run.bucket, layout.history_key(run.config.prefix)).decode()
    except Missing:
        return []
    return lines_until(text, found.step)
