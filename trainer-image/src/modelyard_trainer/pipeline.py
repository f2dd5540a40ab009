"""The stages of each kind of run, in order; runs them, times them, and turns every end into an Outcome."""

from __future__ import annotations

import errno
import importlib
import json
import logging
import time
from collections.abc import Callable

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode, Outcome, RunReport
from modelyard.api.tasks import TASKS
from modelyard.storage.errors import Missing, StoreError
from modelyard.storage.fetch import check_listing, read_manifest
from modelyard_trainer.checkpoints import Place, remove_all
from modelyard_trainer.errors import Interrupted, TrainerError, bad_config, bad_output, from_store, out_of_memory
from modelyard_trainer.reports import report_of
from modelyard_trainer.run import Run, TrainRun

log = logging.getLogger(__name__)
STAGES: dict[str, tuple[str, ...]] = {
    "prepare": ("fetch_source", "prepare", "publish"),
    "train": ("fetch", "load", "adapt", "train", "evaluate", "export", "publish"),
    "train/fetch": ("fetch", "hand_over"),
    "train/publish": ("fetch", "collect", "load", "accept", "evaluate", "export", "publish"),
    "foreign/fetch": ("fetch", "hand_over"),
    "foreign/publish": ("receive", "publish"),
}
"""By kind and part; foreign: of a task that only somebody else's program knows."""
FOREIGN_TASK = ("hand_over", "train", "receive", "publish")
FOREIGN = ("hand_over", "train", "collect", "load", "accept", "evaluate", "export", "publish")
"""What percent and time left are about where somebody else's program trains between two of our parts."""
End = tuple[ExitCode, Outcome]


def execute(run: Run) -> End:
    """Run all stages; give the exit code and what the operator is told."""
    try:
        if run.part != "fetch" and adopted(run):
            return ExitCode.PUBLISHED, _adopt(run)
        _run_stages(run)
        code, outcome = ExitCode.PUBLISHED, Outcome(outcome="published", digest=run.digest)
    except Interrupted:
        code, outcome = ExitCode.INTERRUPTED, interrupted(run.stage)
    except Exception as fault:
        code, outcome = _failed(run, fault)
    if code != ExitCode.PUBLISHED or run.part != "fetch":
        _write_report(run, report_of(run, outcome))
    if code == ExitCode.PUBLISHED and isinstance(run, TrainRun) and run.part != "fetch":
        _remove_checkpoints(run)
    return code, outcome


def _remove_checkpoints(run: TrainRun) -> None:
    """A published run needs none; one that is still on its way would come back after its removal."""
    if run.keeper is not None:
        run.keeper.wait(60)
    remove_all(Place(run.store, run.bucket, run.config.prefix))


def interrupted(stage: str) -> Outcome:
    """The pod was asked to stop before the run was through."""
    message = "the pod was asked to stop; the run goes on from its newest checkpoint in the next one"
    return Outcome(outcome="interrupted", reason=names.DISRUPTED, message=message, stage=stage)


def adopted(run: Run) -> bool:
    """True if an earlier pod published this very run: its result stands, nothing is done again."""
    try:
        manifest, run.digest = read_manifest(run.store, run.bucket, run.target)
    except Missing:
        return False
    check_listing(run.store, run.bucket, run.target, manifest, run.digest)
    return True


def _plan(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The stages of this part, and of the whole run; BAD_CONFIG for a task that no part of ours trains."""
    if not (isinstance(run, TrainRun) and TASKS[run.config.task].foreign):
        stages = STAGES[f"{run.config.kind}/{run.part}" if run.part else run.config.kind]
        return stages, FOREIGN if run.part else stages
    if not run.part:
        raise bad_config(
            f"spec.task {run.config.task} is of a trainer of your own: name in spec.profile a TrainingProfile with "
            "spec.trainer.image and spec.trainer.command"
        )
    return STAGES[f"foreign/{run.part}"], FOREIGN_TASK


def _run_stages(run: Run) -> None:
    stages, whole = _plan(run)
    run.progress.plan(whole)
    for name in stages:
        run.stop.check()
        run.stage = name
        run.progress.update(stage=name)
        started = time.monotonic()
        stage: Callable[[Run], None] = importlib.import_module(f"modelyard_trainer.stages.{name}").execute
        try:
            stage(run)
        finally:
            run.seconds[name] = time.monotonic() - started
        log.info("%s took %.1f s", name, run.seconds[name])


def _failed(run: Run, fault: Exception) -> End:
    known = _of_version(run, _of_output(_known(fault)) if run.part == "publish" else _known(fault))
    if known.code == ExitCode.INTERNAL:
        log.exception("stage %s failed", run.stage, exc_info=fault)
    else:
        log.error("stage %s failed: %s", run.stage, known.message)
    step = run.progress.report.step
    return known.code, Outcome(outcome="failed", reason=known.reason, message=known.message, stage=run.stage, step=step)


def _of_output(known: TrainerError) -> TrainerError:
    """What is wrong with a base model elsewhere is wrong with the foreign trainer's result here."""
    if known.code != ExitCode.BASE_INVALID:
        return known
    return bad_output(known.message.replace("spec.from.base", "the model"))


def _of_version(run: Run, known: TrainerError) -> TrainerError:
    """What helps with a base model is said of the version that the run goes on from."""
    base = run.config.base if isinstance(run, TrainRun) else None
    if base is None or base.version is None:
        return known
    return TrainerError(known.code, known.message.replace("spec.from.base", "spec.from.version"), known.reason)


def _known(fault: Exception) -> TrainerError:
    if isinstance(fault, TrainerError):
        return fault
    if isinstance(fault, StoreError):
        return from_store(fault)
    if isinstance(fault, OSError) and fault.errno == errno.ENOSPC:
        remedy = "let spec.pod.nodeSelector of the TrainingProfile choose nodes with more disk"
        message = f"no space left in the pod's work folder ({fault}): {remedy}"
        return TrainerError(ExitCode.INTERNAL, message, names.DISK_FULL)
    last = str(fault).strip().splitlines()
    message = f"{type(fault).__name__}: {last[0][:500] if last else ''} (the pod's log has the full trace)"
    return out_of_memory(fault) or TrainerError(ExitCode.INTERNAL, message)


def _adopt(run: Run) -> Outcome:
    log.info("the result is published already (%s)", run.digest)
    outcome = Outcome(outcome="published", digest=run.digest)
    try:
        epoch = read_manifest(run.quick, run.bucket, run.target, run.digest)[0].epoch
        data = run.quick.get(run.bucket, layout.file_key(run.target, run.digest, layout.REPORT, epoch))
        _write_report(run, RunReport.model_validate_json(data).model_copy(update={"outcome": outcome}))
    except (StoreError, ValueError) as fault:
        log.info("no report to repeat: %s", fault)
    return outcome


def _write_report(run: Run, report: RunReport) -> None:
    """Best effort: the manifest alone decides whether a run succeeded."""
    try:
        data = json.dumps(report.dump(), allow_nan=False).encode()
        run.quick.put(run.bucket, layout.report_key(run.config.prefix), data)
    except (StoreError, ValueError) as fault:
        log.warning("the report was not written: %s", fault)
