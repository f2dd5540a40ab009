"""The tests' own trainer keeps the contract of the real one: exit codes, termination message, checkpoints, version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.api import layout
from modelyard.api.run import ExitCode, ModelInfo, Outcome, TrainConfig
from modelyard.storage.fetch import check_listing, read_manifest
from modelyard.storage.store import Store
from tests.hyperparameters import completed
from tests.stubtrainer.behaviour import Behaviour


class Pods:
    """Runs of the stub as processes; each is one more pod of the same run."""

    def __init__(self, minio: MinioServer, store: Store, bucket: str, folder: Path, asked: Behaviour) -> None:
        self.folder, self._minio, self._count = folder, minio, 0
        for name, content in asked.base().items():
            store.put(bucket, f"base/{name}", content)
        location = {"endpoint": minio.url, "bucket": bucket}
        fields = {
            "name": "job",
            "run": "r1",
            "model": "m",
            "prefix": layout.run_prefix("team", "m", "r1"),
            "store": location,
            "task": "text-classification",
            "base": {"uri": f"s3://{bucket}/base/", "digest": "sha256:b", "record": "none"},
            "dataset": {"prefix": "ns/team/datasets/d/p/", "digest": "sha256:d"},
            "method": {"full": {}},
            "train": {},
            "export": ["safetensors", "onnx"],
            "checkpointEvery": 1,
            "checkpointKeep": 2,
            "image": "stub",
        }
        self.config = TrainConfig.model_validate(completed(fields))
        (folder / "run.json").write_text(json.dumps(self.config.dump()))

    def start(self, **variables: str) -> subprocess.Popen[bytes]:
        """One more pod."""
        self._count += 1
        environment = {
            **variables,
            "AWS_ACCESS_KEY_ID": self._minio.access_key,
            "AWS_SECRET_ACCESS_KEY": self._minio.secret_key,
            "MODELYARD_CONFIG": str(self.folder / "run.json"),
            "MODELYARD_TERMINATION": str(self.folder / "termination"),
            "MODELYARD_WORK": str(self.folder / f"work-{self._count}"),
        }
        return subprocess.Popen([sys.executable, "-m", "tests.stubtrainer"], env={**os.environ, **environment})

    def outcome(self) -> Outcome:
        return Outcome.model_validate_json((self.folder / "termination").read_bytes())


@pytest.fixture
def pods(request: pytest.FixtureRequest, minio: MinioServer, store: Store, bucket: str, tmp_path: Path) -> Pods:
    return Pods(minio, store, bucket, tmp_path, request.param)


@pytest.mark.parametrize("pods", [Behaviour(macro_f1=0.7)], indirect=True)
def test_publishes_a_version(pods: Pods, store: Store, bucket: str) -> None:
    assert pods.start().wait(30) == ExitCode.PUBLISHED
    prefix = layout.version_prefix(pods.config.prefix)
    manifest, digest = read_manifest(store, bucket, prefix)
    check_listing(store, bucket, prefix, manifest, digest)
    assert pods.outcome().digest == digest
    assert ModelInfo.model_validate(manifest.info).metrics[0].headline == "macro_f1 0.700"
    assert {"model.onnx", "tokenizer.json"} <= {entry.path for entry in manifest.files}


@pytest.mark.parametrize("pods", [Behaviour(ends="BAD_DATA")], indirect=True)
def test_ends_as_it_is_told(pods: Pods) -> None:
    assert pods.start().wait(30) == ExitCode.BAD_DATA
    assert (pods.outcome().outcome, pods.outcome().reason) == ("failed", "BadData")


@pytest.mark.parametrize("pods", [Behaviour(steps=60, seconds_per_step=0.1)], indirect=True)
def test_goes_on_from_its_checkpoint(pods: Pods, store: Store, bucket: str) -> None:
    pod = pods.start()
    deadline = time.monotonic() + 20
    root = layout.checkpoints_prefix(pods.config.prefix)
    while not any(entry.key.endswith(layout.MANIFEST) for entry in store.list(bucket, root)):
        assert time.monotonic() < deadline and pod.poll() is None
        time.sleep(0.1)
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(20) == ExitCode.INTERRUPTED
    assert pods.start().wait(30) == ExitCode.PUBLISHED
    report = json.loads(store.get(bucket, layout.report_key(pods.config.prefix)))
    assert 0 < report["train"]["resumed_from"] < 60


@pytest.mark.parametrize("pods", [Behaviour(weights=150)], indirect=True)
def test_an_upload_that_has_begun_is_finished_within_the_grace_period(pods: Pods, store: Store, bucket: str) -> None:
    pod, began = pods.start(), time.monotonic()
    while not list(store._uploads(bucket)):
        assert pod.poll() is None and time.monotonic() < began + 30
        time.sleep(0.01)
    pod.send_signal(signal.SIGTERM)
    assert pod.wait(50) == ExitCode.PUBLISHED
    assert pods.outcome().outcome == "published"


@pytest.mark.parametrize("pods", [Behaviour(seconds_per_step=120)], indirect=True)
def test_a_pod_that_cannot_save_in_time_says_so_before_it_is_killed(pods: Pods) -> None:
    pod, began = pods.start(MODELYARD_GRACE="11"), time.monotonic()
    while not (pods.folder / "work-1" / "resume").exists():
        assert pod.poll() is None and time.monotonic() < began + 30
        time.sleep(0.05)
    time.sleep(0.5)
    pod.send_signal(signal.SIGTERM)
    asked = time.monotonic()
    assert pod.wait(30) == ExitCode.INTERRUPTED
    assert time.monotonic() - asked < 11
    assert pods.outcome().outcome == "interrupted"
