"""Instead of training: steps that take the time they are told, with checkpoints, and the end that is asked for."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from modelyard.api import layout
from modelyard.api.run import ExitCode
from modelyard_trainer.checkpoints import Keeper, Place, newest
from modelyard_trainer.errors import Interrupted, TrainerError
from modelyard_trainer.run import TrainRun
from tests.stubtrainer import behaviour
from tests.stubtrainer.behaviour import Behaviour


def execute(run: TrainRun) -> None:
    """Go on from the newest checkpoint to the last step, or to the end that the behaviour asks for."""
    assert run.config.base is not None
    bucket, prefix = layout.split_uri(run.config.base.uri)
    asked = behaviour.read(run.store.get(bucket, f"{prefix}config.json"))
    _take_over_sigterm(asked)
    place = Place(run.store, run.bucket, run.config.prefix, run.config.epoch)
    run.keeper = Keeper(place, run.config.checkpoint_keep)
    found = newest(place, run.folder("resume"))
    first = found.step if found else 0
    run.figures |= {"resumed_from": first, "steps": asked.steps}
    run.progress.update(resumed_from=first, step=first, steps=asked.steps)
    run.stop.graceful = True
    try:
        _steps(run, asked, first, run.keeper)
    finally:
        run.stop.graceful = False


def _steps(run: TrainRun, asked: Behaviour, first: int, keeper: Keeper) -> None:
    saved = time.monotonic()
    for step in range(first + 1, asked.steps + 1):
        time.sleep(asked.seconds_per_step)
        left = (asked.steps - step) * asked.seconds_per_step
        run.progress.update(step=step, epoch=step / asked.steps, loss=round(1 / step, 6), seconds_left=left)
        if step == asked.at:
            _happen(run, asked)
        if run.stop.requested or time.monotonic() - saved >= run.config.checkpoint_every:
            keeper.submit(_checkpoint(run, step), step)
            saved = time.monotonic()
        if run.stop.requested:
            keeper.wait()
            raise Interrupted


def _checkpoint(run: TrainRun, step: int) -> Path:
    folder = run.folder(f"checkpoints/checkpoint-{step}")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def _happen(run: TrainRun, asked: Behaviour) -> None:
    with (run.folder("hog") / "hog").open("wb") as stream:
        for _ in range(asked.disk):
            stream.write(os.urandom(1 << 20))
    hog = bytearray(os.urandom(1 << 20)) * asked.memory
    if asked.ends == "crash":
        os._exit(1)
    if asked.ends == "nothing":
        os._exit(0)
    if asked.ends != "published":
        code = ExitCode[asked.ends]
        raise TrainerError(code, f"the stub was told to end with {code.name} ({len(hog)} bytes)")


def _take_over_sigterm(asked: Behaviour) -> None:
    if asked.sigterm == "ignore":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if asked.sigterm == "succeed":
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
