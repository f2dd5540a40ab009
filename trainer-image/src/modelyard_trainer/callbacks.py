"""What happens between steps: reporting, divergence, the best model, checkpoints, and the end that SIGTERM asks for."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from modelyard.api.run import ExitCode
from modelyard.api.tasks import TASKS
from modelyard_trainer import machine
from modelyard_trainer.best import Best, evaluations, without_progress
from modelyard_trainer.checkpoints import LOWERED, Keeper
from modelyard_trainer.diverging import Diverged, divergence
from modelyard_trainer.errors import TrainerError
from modelyard_trainer.history import History
from modelyard_trainer.methods import method_named
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stopping import Stop

log = logging.getLogger(__name__)
FORWARD = 0.5
"""A row's answer in fp32, as part of its time in training."""
BASELINES, EXPORT = 3.0, 15.0
"""Seconds of evaluation and export beside the answers to the test rows."""
METHOD = "method.safetensors"
"""What a method keeps in a checkpoint beside the weights."""
LOGGED = {
    "loss": "loss",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "eval_loss": "validation_loss",
    **{f"eval_{metric}": f"validation_{metric}" for task in TASKS.values() for metric in task.named(per_class=False)},
}


class Guard(TrainerCallback):  # type: ignore[misc]
    """Ends training that goes wrong; logs come before checkpoints, so none is saved after it.

    Diverged where a lower rate is still to be tried, else NOT_A_NUMBER at the first loss that is not a number.
    """

    def __init__(self, learning_rate: float, guessing: float, lowered: bool) -> None:
        self._learning_rate = learning_rate
        self._guessing = guessing
        self._lowered = lowered

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **others: Any) -> None:
        """Look at the losses."""
        if not self._lowered:
            seen = divergence(state.log_history, self._guessing, args.warmup_steps, state.max_steps)
            if seen:
                raise Diverged(seen)
        for name in ("loss", "eval_loss"):
            if not math.isfinite(logs.get(name, 0.0)):
                what = f"the {LOGGED[name]} is {logs[name]} at step {state.global_step}"
                raise not_a_number(what, self._learning_rate)


def not_a_number(what: str, learning_rate: float) -> TrainerError:
    """Training diverged."""
    lower = f"{learning_rate / 10:.1g}"
    return TrainerError(
        ExitCode.NOT_A_NUMBER,
        f"{what}: lower spec.train.learningRate (now {learning_rate:g}, try {lower}), set spec.train.precision to "
        "fp32, or choose another spec.from.base if it happens at the first step (its weights may hold NaN)",
    )


class Reporting(TrainerCallback):  # type: ignore[misc]
    """Progress for the operator and the history of the run."""

    def __init__(self, run: TrainRun, history: History) -> None:
        self._run = run
        self._history = history
        self._began = 0.0
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Remember where this pod starts."""
        self._began, self._first = time.monotonic(), state.global_step
        self._run.progress.update(step=state.global_step, steps=state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Report the step."""
        if state.global_step == self._first + 1:
            self._run.figures["seconds_to_first_step"] = round(machine.seconds_running(), 2)
        pace = (time.monotonic() - self._began) / (state.global_step - self._first)
        left = round(pace * (state.max_steps - state.global_step), 1)
        self._run.progress.update(step=state.global_step, epoch=round(state.epoch, 4), seconds_left=left)
        answered = FORWARD * pace / self._run.config.train.batch_size
        rows = len(self._run.rows["test"])
        self._run.progress.expect(evaluate=BASELINES + answered * rows, export=EXPORT + answered * rows)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **others: Any) -> None:
        """Write the history."""
        values = {LOGGED[name]: float(value) for name, value in logs.items() if name in LOGGED}
        if "loss" in values:
            self._run.progress.update(loss=round(values["loss"], 6))
        if values:
            self._history.log(state.global_step, {"epoch": round(state.epoch, 4), **values})
            log.info("step %d of %d: %s", state.global_step, state.max_steps, values)


class Adapting(TrainerCallback):  # type: ignore[misc]
    """What the method does after each step."""

    def __init__(self, run: TrainRun) -> None:
        self._method = method_named(run.config.method.kind)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any, **others: Any) -> None:
        """The step is not counted yet."""
        self._method.after_step(model, state.global_step + 1)


def restore_method(run: TrainRun, checkpoint: Path) -> None:
    """Give the method what it kept beside the weights of a checkpoint."""
    from safetensors.torch import load_file

    if (checkpoint / METHOD).exists():
        method_named(run.config.method.kind).restore(run.model, load_file(checkpoint / METHOD))


def _keep_method(run: TrainRun, model: Any, checkpoint: Path) -> None:
    from safetensors.torch import save_file

    if kept := method_named(run.config.method.kind).kept(model):
        save_file({name: value.detach().cpu().contiguous() for name, value in kept.items()}, checkpoint / METHOD)


class Choosing(TrainerCallback):  # type: ignore[misc]
    """Evaluates at the end of each epoch, before that step's checkpoint; keeps the best weights; stops early."""

    def __init__(self, best: Best, patience: int | None, stop: Stop) -> None:
        self._best = best
        self._patience = patience
        self._stop = stop
        self._evaluate: Callable[[], Any] = dict

    def attach(self, loop: Any) -> None:
        """Evaluations that an earlier pod had no time for are made by this loop."""
        self._evaluate = loop.evaluate
        loop.add_callback(self)

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Make up for the evaluation that the checkpoint is owed."""
        if state.global_step and self._is_due(state):
            self._evaluate()
        control.should_training_stop = self.exhausted(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Evaluate after the last step of an epoch; a pod that has to go leaves it to the next one."""
        if self._is_due(state) and not self._stop.requested:
            control.should_evaluate = control.should_log = True

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any, **others: Any) -> None:
        """Keep the best weights; stop once nothing has become better for long enough."""
        if max(evaluations(state.log_history)).step == state.global_step:
            self._best.keep(model)
        if self.exhausted(state):
            control.should_training_stop = True

    def on_prediction_step(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """End an evaluation that the pod has no time for."""
        self._stop.check()

    def exhausted(self, state: Any) -> bool:
        """True once the last `patience` evaluations brought nothing better."""
        return self._patience is not None and without_progress(state.log_history) >= self._patience

    def _is_due(self, state: Any) -> bool:
        epoch = state.max_steps // state.num_train_epochs
        made = evaluations(state.log_history)
        return state.global_step % epoch == 0 and (not made or made[-1].step < state.global_step)


class Checkpointing(TrainerCallback):  # type: ignore[misc]
    """Saves every `every` seconds, and once more when the pod is asked to stop."""

    def __init__(self, run: TrainRun, keeper: Keeper, best: Best) -> None:
        self._run = run
        self._keeper = keeper
        self._best = best
        self._last = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Start the clock."""
        self._last = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Decide whether this step is saved; the log comes first, for the guard."""
        stop = self._run.stop.requested
        if stop or self._due(state.global_step >= state.max_steps):
            control.should_log = control.should_save = True
        if stop:
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, model: Any, **others: Any) -> None:
        """Upload what the Trainer wrote to the disk, and the best weights so far with it."""
        self._last = time.monotonic()
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self._best.join(folder)
        _keep_method(self._run, model, folder)
        if self._run.lowered:
            (folder / LOWERED).write_text(json.dumps(self._run.lowered))
        self._keeper.submit(folder, state.global_step)

    def _due(self, last_step: bool) -> bool:
        every = min(60, self._run.config.checkpoint_every) if last_step else self._run.config.checkpoint_every
        return not self._keeper.busy and time.monotonic() - self._last >= every
