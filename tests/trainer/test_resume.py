"""Killed and stopped pods: the next one goes on from the newest checkpoint that is complete and whole."""

from __future__ import annotations

import functools
import io
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, Outcome, TrainConfig
from modelyard_trainer.checkpoints import Keeper, Place, newest
from tests.trainer.harness import BUCKET, TrainerHarness

SLOW = {"epochs": 400, "learningRate": 1e-4, "batchSize": 8, "precision": "fp32"}


def wait_for_checkpoint(harness: TrainerHarness, config: TrainConfig, above: int, pod: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert pod.poll() is None, "the pod ended before its checkpoint"
        found = max(harness.checkpoints(config), default=0)
        if found > above:
            return found
        time.sleep(0.1)
    raise AssertionError("no checkpoint within 90 s")


def outcome_in(folder: Path) -> Outcome:
    return Outcome.model_validate_json((folder / "termination").read_bytes())


def test_killed_then_stopped_then_finished(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], tmp_path: Path
) -> None:
    config = harness.train_config("run-killed", base, dataset, train=SLOW, export=["safetensors"], checkpointEvery=1)
    pod = harness.start(config, tmp_path / "1")
    try:
        saved = wait_for_checkpoint(harness, config, 0, pod)
    finally:
        pod.send_signal(signal.SIGKILL)
    assert pod.wait() == -signal.SIGKILL
    assert harness.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None

    saved = max(harness.checkpoints(config))
    pod = harness.start(config, tmp_path / "2")
    try:
        later = wait_for_checkpoint(harness, config, saved, pod)
    finally:
        pod.send_signal(signal.SIGTERM)
    assert pod.wait(timeout=40) == ExitCode.INTERRUPTED
    assert outcome_in(tmp_path / "2").outcome == "interrupted"
    assert harness.report(config).train["resumed_from"] == saved
    assert len(harness.checkpoints(config)) <= 2
    final = max(harness.checkpoints(config))
    assert final >= later

    short = config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1 + final // 54})})
    code, outcome = harness.run(short)
    assert code == ExitCode.PUBLISHED, outcome.message
    report = harness.report(short)
    assert report.train["resumed_from"] == final
    assert report.train["steps"] > final
    assert harness.checkpoints(config) == []
    history = harness.store.get(BUCKET, layout.history_key(config.prefix)).decode().splitlines()
    steps = [json.loads(line)["step"] for line in history if "loss" in json.loads(line)]
    assert steps == sorted(set(steps))


@pytest.fixture
def place(harness: TrainerHarness, request: pytest.FixtureRequest) -> Place:
    return Place(harness.store, BUCKET, f"ns/team/models/m/runs/{request.node.name}/")


@functools.cache
def tensors() -> bytes:
    """What an optimizer leaves; other things are not even looked at (test_hostile.py)."""
    import torch

    stream = io.BytesIO()
    torch.save({"state": {0: torch.ones(4)}}, stream)
    return stream.getvalue()


def save(place: Place, folder: Path, step: int, keep: int = 9) -> None:
    target = folder / f"checkpoint-{step}"
    target.mkdir(parents=True)
    (target / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (target / "optimizer.pt").write_bytes(tensors())
    keeper = Keeper(place, keep)
    keeper.submit(target, step)
    keeper.wait()
    assert keeper.saved == 1


def test_newest_complete_one(place: Place, tmp_path: Path) -> None:
    for step in (5, 10, 20):
        save(place, tmp_path, step)
    place.store.put(place.bucket, f"{place.prefix(30)}optimizer.pt", b"half")
    found = newest(place, tmp_path / "resume")
    assert found is not None
    assert found.step == 20
    assert (found.folder / "optimizer.pt").read_bytes() == tensors()


def test_flipped_byte_falls_back(harness: TrainerHarness, place: Place, tmp_path: Path) -> None:
    for step in (5, 10):
        save(place, tmp_path, step)
    place.store.put(place.bucket, harness.file_key(place.prefix(10), "optimizer.pt"), bytes(256))
    found = newest(place, tmp_path / "resume")
    assert found is not None
    assert found.step == 5
    assert place.steps() == ([5], [])


def test_state_of_another_step_is_refused(place: Place, tmp_path: Path) -> None:
    save(place, tmp_path, 5)
    for entry in place.store.list(place.bucket, place.prefix(5)):
        key = place.prefix(7) + entry.key.removeprefix(place.prefix(5))
        place.store.put(place.bucket, key, place.store.get(place.bucket, entry.key))
    found = newest(place, tmp_path / "resume")
    assert found is not None
    assert found.step == 5


def test_only_the_newest_are_kept(place: Place, tmp_path: Path) -> None:
    place.store.put(place.bucket, f"{place.prefix(3)}optimizer.pt", b"half")
    for step in (5, 10, 20, 40):
        save(place, tmp_path, step, keep=2)
    place.store.put(place.bucket, f"{place.prefix(50)}optimizer.pt", b"half")
    assert place.steps() == ([40, 20], [50])


def test_nothing_to_go_on_from(place: Place, tmp_path: Path) -> None:
    assert newest(place, tmp_path) is None


def test_store_that_fails_costs_a_checkpoint_only(tmp_path: Path, harness: TrainerHarness) -> None:
    from modelyard.storage.store import Store

    place = Place(Store.connect("http://127.0.0.1:9", "a", "b"), BUCKET, "x/")
    folder = tmp_path / "checkpoint-1"
    folder.mkdir()
    (folder / "trainer_state.json").write_text("{}")
    keeper = Keeper(place, 2)
    keeper.submit(folder, 1)
    keeper.wait()
    assert keeper.saved == 0
    assert not folder.exists()
