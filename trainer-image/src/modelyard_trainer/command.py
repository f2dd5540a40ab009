"""The pod's command: reads the RunConfig, runs it, leaves the Outcome as termination message and exits by the table."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from modelyard.api import run
from modelyard.api.run import AnyConfig, Contract, ExitCode, HashConfig, Outcome, PrepareConfig, RunConfig, TrainConfig
from modelyard.storage.errors import StoreError
from modelyard.storage.store import Store
from modelyard_trainer import hashing, machine, pipeline
from modelyard_trainer.errors import Interrupted, TrainerError, bad_config, from_store, image_too_old
from modelyard_trainer.posting import poster_from_environment
from modelyard_trainer.progress import Progress
from modelyard_trainer.run import PrepareRun, Run, TrainRun
from modelyard_trainer.stopping import Stop

log = logging.getLogger("modelyard_trainer")
LIBRARY_SETTINGS = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DISABLE_KUBEFLOW_INTEGRATION": "TRUE",  # our own posts tell more
}
PATIENCE = 180.0
"""Seconds that an unavailable artifact store is asked again."""


def main() -> int:
    """Run the pod's one run; the exit code is one of run.ExitCode."""
    _settle()
    stop = Stop()
    stop.install(lambda: write_outcome(pipeline.interrupted("")))
    try:
        code, outcome = _run(stop)
    except Interrupted:
        code, outcome = ExitCode.INTERRUPTED, pipeline.interrupted("")
    except (TrainerError, StoreError) as fault:
        known = from_store(fault) if isinstance(fault, StoreError) else fault
        code, outcome = known.code, Outcome(outcome="failed", reason=known.reason, message=known.message)
    stop.disarm()
    write_outcome(outcome)
    log.info("%s %s %s", outcome.outcome, outcome.reason, outcome.message or outcome.digest)
    return int(code)


def read_config() -> AnyConfig:
    """The RunConfig; BAD_CONFIG if it is missing or not valid, IMAGE_TOO_OLD if it asks for more than this image knows.

    What a newer operator adds and this run does not need is passed over.
    """
    path = Path(os.environ.get("MODELYARD_CONFIG", run.CONFIG_PATH))
    adapter: TypeAdapter[AnyConfig] = TypeAdapter(RunConfig)
    try:
        data = path.read_bytes()
        _check_contract(data)
        return adapter.validate_json(data, extra="ignore")
    except OSError as fault:
        raise bad_config(f"the run's configuration cannot be read: {fault}") from fault
    except ValidationError as fault:
        raise bad_config(f"{path} is not a run's configuration: {fault}") from fault


def _check_contract(data: bytes) -> None:
    """Before anything else is understood: a field of a later contract may hold what this image calls invalid."""
    try:
        needed = Contract.model_validate_json(data).contract
    except ValidationError:
        return  # what is wrong is said when the whole is read
    if needed > run.CONTRACT:
        raise image_too_old(needed, run.CONTRACT)


def write_outcome(outcome: Outcome) -> None:
    """Write the termination message, its text cut so that the JSON has at most 4096 bytes."""
    path = Path(os.environ.get("MODELYARD_TERMINATION", run.TERMINATION_PATH))
    try:
        path.write_bytes(outcome_bytes(outcome))
    except OSError as fault:
        log.warning("the termination message was not written: %s", fault)


def outcome_bytes(outcome: Outcome, limit: int = run.TERMINATION_LIMIT) -> bytes:
    """JSON of at most `limit` bytes; a longer message ends in an ellipsis."""
    data = outcome.model_dump_json(by_alias=True).encode()
    if len(data) <= limit:
        return data
    sizes = [len(json.dumps(character, ensure_ascii=False).encode()) - 2 for character in outcome.message]
    room = limit - (len(data) - sum(sizes)) - len("…".encode())
    fitting = sum(total <= room for total in itertools.accumulate(sizes))
    shorter = outcome.model_copy(update={"message": outcome.message[:fitting] + "…"})
    return shorter.model_dump_json(by_alias=True).encode()


def _run(stop: Stop) -> pipeline.End:
    config = read_config()
    if isinstance(config, HashConfig):
        return _hash(config)
    work = Path(os.environ.get("MODELYARD_WORK", run.WORK_PATH))
    made = make_run(config, work, stop)
    made.part = part_of(sys.argv[1:])
    try:
        return pipeline.execute(made)
    finally:
        made.progress.close()


def _hash(config: HashConfig) -> pipeline.End:
    progress = Progress(poster_from_environment())
    try:
        return hashing.execute(config, Store.from_environment(config.store, patience=_patience()), progress)
    finally:
        progress.close()


def part_of(arguments: list[str]) -> Literal["", "fetch", "publish"]:
    """The part of a run that this container does: what comes before or after a foreign trainer, or all of it."""
    if not arguments:
        return ""
    if arguments == ["fetch"]:
        return "fetch"
    if arguments == ["publish"]:
        return "publish"
    raise bad_config(f"unknown arguments {arguments}: none, fetch or publish")


def make_run(config: PrepareConfig | TrainConfig, work: Path, stop: Stop) -> Run:
    """The run with its connections: a patient one to the store, a quick one for what may be lost, the operator's."""
    location = config.store
    store = Store.from_environment(location, patience=_patience())
    quick = Store.from_environment(location)
    progress = Progress(poster_from_environment())
    if isinstance(config, TrainConfig):
        return TrainRun(config=config, store=store, quick=quick, work=work, progress=progress, stop=stop)
    return PrepareRun(config=config, store=store, quick=quick, work=work, progress=progress, stop=stop)


def _patience() -> float:
    return float(os.environ.get("MODELYARD_STORE_PATIENCE", PATIENCE))


def _settle() -> None:
    """Settings that must stand before torch and transformers are imported."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for noisy in ("transformers", "torch.onnx", "onnxscript", "onnx_ir", "httpx"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    machine.set_threads()
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
