"""A store with base model and prepared rows, and runs against it: in this process, or as the pod's command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dev.known_base import make_known
from dev.localcluster.minio import MinioServer
from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, Outcome, PrepareConfig, RunReport, TrainConfig
from modelyard.storage.fetch import read_manifest
from modelyard.storage.store import Store
from modelyard_trainer import pipeline
from modelyard_trainer.command import make_run
from modelyard_trainer.stopping import Stop
from tests.hyperparameters import completed
from tests.trainer.words import json_lines, rows

BUCKET = "trainer-tests"
STEPS = [{"clean": {}}, {"dedupe": {}}, {"split": {"test": 0.15, "validation": 0.15}}]


@dataclass
class TrainerHarness:
    """One installation's store; `work` is the scratch folder of all runs."""

    server: MinioServer
    store: Store
    work: Path
    runs: set[str] = field(default_factory=set)

    @property
    def location(self) -> dict[str, str]:
        """StoreLocation of a RunConfig."""
        return {"endpoint": self.server.url, "bucket": BUCKET}

    def environment(self) -> dict[str, str]:
        """What a pod gets."""
        return {
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "MODELYARD_STORE_PATIENCE": "3",
        }

    def put(self, key: str, data: bytes) -> str:
        """Write an object; gives its URI."""
        self.store.put(BUCKET, key, data)
        return f"s3://{BUCKET}/{key}"

    def put_folder(self, prefix: str, folder: Path) -> dict[str, str]:
        """Upload a base model; gives the pin of a RunConfig."""
        for path in folder.iterdir():
            self.store.upload(BUCKET, prefix + path.name, path)
        return self.pin(prefix)

    def pin(self, prefix: str) -> dict[str, str]:
        """uri, digest and record of a base model."""
        record = make_known(self.store, BUCKET, "team", f"s3://{BUCKET}/{prefix}")
        return {"uri": record.uri, "digest": record.digest, "record": layout.base_record_key("team", record.listing)}

    def prepare_config(self, name: str, source: dict[str, Any], **changes: Any) -> PrepareConfig:
        """RunConfig of a Dataset."""
        prefix = layout.dataset_prefix("team", name, "p1")
        fields = {"name": name, "prefix": prefix, "store": self.location, "task": "text-classification"}
        return PrepareConfig.model_validate({**fields, "source": source, "steps": STEPS, **changes})

    def prepared(self, name: str, count: int = 600, texts: Sequence[dict[str, str]] | None = None) -> dict[str, str]:
        """Prepare generated rows, or `texts` with their classes; gives the pin of a RunConfig."""
        uri = self.put(f"raw/{name}.jsonl", json_lines(texts or rows(count)))
        config = self.prepare_config(name, {"s3": {"uri": uri}})
        code, outcome = self.run(config)
        assert code == ExitCode.PUBLISHED, outcome
        manifest = json.loads(self.store.get(BUCKET, layout.manifest_key(config.prefix)))
        return {"prefix": config.prefix, "digest": manifest["info"]["digest"]}

    def train_config(
        self, run: str, base: dict[str, str] | None, dataset: dict[str, str], **changes: Any
    ) -> TrainConfig:
        """RunConfig of a FineTuneJob; a full fine-tuning that learns within seconds."""
        assert run not in self.runs, f"run {run} is another test's: its result would be adopted"
        self.runs.add(run)
        fields: dict[str, Any] = {
            "name": "job",
            "run": run,
            "model": "words",
            "prefix": layout.run_prefix("team", "words", run),
            "store": self.location,
            "task": "text-classification",
            "base": base,
            "dataset": dataset,
            "method": {"full": {}},
            "train": {"epochs": 2, "learningRate": 1e-3, "batchSize": 16, "precision": "fp32"},
            "input": {"text": {"maxLength": 32}},
            "export": ["safetensors", "onnx"],
            "checkpointEvery": 3600,
            "checkpointKeep": 2,
            "image": "trainer:test",
        }
        return TrainConfig.model_validate(completed({**fields, **changes}))

    def run(self, config: PrepareConfig | TrainConfig) -> tuple[ExitCode, Outcome]:
        """Run in this process."""
        name = config.run if isinstance(config, TrainConfig) else config.name
        with environment(self.environment()):
            run = make_run(config, self.work / f"{name}-{len(list(self.work.iterdir()))}", Stop())
            try:
                return pipeline.execute(run)
            finally:
                run.progress.close()

    def rows(self, prefix: str, split: str) -> list[dict[str, Any]]:
        """Rows of a split as they were published."""
        import io

        from pyarrow import parquet

        manifest = Manifest.model_validate_json(self.store.get(BUCKET, layout.manifest_key(prefix)))
        keys = [self.file_key(prefix, entry.path) for entry in manifest.files if entry.path.startswith(f"{split}-")]
        shards = [parquet.read_table(io.BytesIO(self.store.get(BUCKET, key))) for key in keys]
        return [row for shard in shards for row in shard.to_pylist()]

    def report(self, config: PrepareConfig | TrainConfig) -> RunReport:
        """The report that a run left."""
        report = RunReport.model_validate_json(self.store.get(BUCKET, layout.report_key(config.prefix)))
        assert "page_failed" not in report.train, report.train["page_failed"]
        return report

    def start(self, config: TrainConfig, folder: Path) -> subprocess.Popen[bytes]:
        """Start the pod's command; `folder` gets its termination message and log."""
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(config.dump()))
        paths = {
            "MODELYARD_CONFIG": str(folder / "run.json"),
            "MODELYARD_TERMINATION": str(folder / "termination"),
            "MODELYARD_WORK": str(folder / "work"),
        }
        command = [sys.executable, "-m", "modelyard_trainer"]
        with (folder / "log").open("wb") as log:
            return subprocess.Popen(command, env={**os.environ, **self.environment(), **paths}, stdout=log, stderr=log)

    def file_key(self, prefix: str, path: str) -> str:
        """Key of a published file."""
        manifest, digest = read_manifest(self.store, BUCKET, prefix)
        return layout.file_key(prefix, digest, path, manifest.epoch)

    def checkpoints(self, config: TrainConfig) -> list[int]:
        """Steps of complete checkpoints."""
        root = layout.checkpoints_prefix(config.prefix)
        keys = [entry.key.removeprefix(root) for entry in self.store.list(BUCKET, root)]
        return sorted(int(key[:10]) for key in keys if key.endswith(layout.MANIFEST))


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
