"""How a pod ends: termination message, progress and background threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from modelyard import names
from modelyard.api.run import ExitCode, Outcome
from modelyard.storage.errors import Corrupt, Denied, Missing, StoreError, Unavailable
from modelyard_trainer.command import outcome_bytes
from modelyard_trainer.errors import from_store, out_of_memory
from modelyard_trainer.history import lines_until
from modelyard_trainer.progress import Progress


@pytest.mark.parametrize("text", ["short", "x" * 10_000, "é" * 10_000, "\x01" * 10_000, '"' * 5_000])
def test_termination_message_fits(text: str) -> None:
    data = outcome_bytes(Outcome(outcome="failed", reason=names.BAD_DATA, message=text, stage="prepare"))
    assert len(data) <= 4096
    assert Outcome.model_validate_json(data).message[:5] == text[:5]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Denied("x"), ExitCode.STORE_DENIED),
        (Corrupt("x"), ExitCode.CORRUPT),
        (Missing("x"), ExitCode.SOURCE_NOT_FOUND),
        (Unavailable("x"), ExitCode.STORE_UNAVAILABLE),
    ],
)
def test_store_faults_have_codes(fault: StoreError, code: ExitCode) -> None:
    assert from_store(fault).code == code


def test_out_of_memory_names_what_to_change() -> None:
    known = out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"))
    assert known is not None
    assert known.reason == names.OUT_OF_MEMORY
    assert "spec.train.batchSize" in known.message
    assert out_of_memory(RuntimeError("size mismatch")) is None


def test_progress_is_written_rarely_and_ends_with_the_last_state() -> None:
    written: list[dict[str, Any]] = []
    progress = Progress(lambda body: written.append(json.loads(body)["trainerStatus"]), interval=0.05)
    progress.plan(("train", "publish"))
    for step in range(1000):
        progress.update(stage="train", step=step, steps=1000)
    time.sleep(0.2)
    progress.update(stage="publish")
    progress.close()
    assert len(written) < 6
    assert (written[-1]["stage"], written[-1]["progressPercentage"]) == ("publish", 96)
    assert {"name": "current_step", "value": "999"} in written[-1]["metrics"]


def test_progress_neither_blocks_nor_fails_the_run() -> None:
    blocked = threading.Event()

    def stuck(data: bytes) -> None:
        blocked.wait(10)
        raise OSError("no route")

    progress = Progress(stuck, interval=0.01)
    began = time.monotonic()
    progress.update(stage="train")
    assert time.monotonic() - began < 0.05
    blocked.set()
    progress.close()


def test_history_goes_on_where_the_checkpoint_was() -> None:
    lines = ['{"step": 1}', '{"step": 2}', "torn {", '{"step": 3}']
    assert lines_until("\n".join(lines), 2) == lines[:2]


@pytest.mark.parametrize("package", ["modelyard_trainer", "modelyard_server"])
def test_asked_to_stop_while_it_is_imported_it_ends_at_once(package: str, tmp_path: Path) -> None:
    """As a pod's first process it would else ignore the signal, and the eviction would take its whole grace period."""
    (tmp_path / "pydantic.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)")
    command, environment = [sys.executable, "-m", package], {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"importing\n"
        process.terminate()
        assert process.wait(30) == ExitCode.INTERRUPTED
