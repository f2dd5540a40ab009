"""What pods publish: manifests of prepared rows and of models, as the trainer writes them."""

from __future__ import annotations

import json
import random
from typing import Any

from modelyard.api import layout
from modelyard.api.base_record import BaseFile, BaseRecord, Listed, loaded
from modelyard.api.progress import TrainerStatus
from modelyard.api.run import DatasetInfo, ModelInfo, digest_of
from modelyard.api.run import Manifest as StoredManifest
from modelyard.decision import Manifest
from tests.builders import exports, measured
from tests.simulation.fake_store import BUCKET, FakeStore, file_entry

SIZES = {"safetensors": ("model.safetensors", 90_000_000), "onnx": ("model.onnx", 91_000_000)}


def config_of(config_map: Manifest) -> dict[str, Any]:
    """The RunConfig that a pod finds."""
    return dict(json.loads(config_map["data"]["run.json"]))


def publish(config: dict[str, Any], store: FakeStore, rng: random.Random) -> None:
    """Complete the run's prefix, unless it is complete already; or leave the record of a base."""
    if config["kind"] == "hash":
        store.put(BUCKET, config["record"], record_of(store, config["uri"]).model_dump_json(by_alias=True).encode())
    elif config["kind"] == "prepare":
        store.publish(config["prefix"], _rows(config))
    else:
        store.publish(layout.version_prefix(config["prefix"]), _model(config, rng))


def published(config: dict[str, Any], store: FakeStore) -> bool:
    """True when the run has its result."""
    if config["kind"] == "hash":
        return store.stat(BUCKET, config["record"]) is not None
    prefix = config["prefix"] if config["kind"] == "prepare" else layout.version_prefix(config["prefix"])
    return store.published(prefix) is not None


def is_listed(config: dict[str, Any], store: FakeStore) -> bool:
    """True while a base is as it was listed when its Job was made."""
    return record_of(store, config["uri"]).listing == str(config["listing"])


def record_of(store: FakeStore, uri: str) -> BaseRecord:
    """What the files of a base are, as they lie there now."""
    bucket, prefix = layout.split_uri(uri)
    files = loaded(Listed(e.key.removeprefix(prefix), e.size, e.etag) for e in store.list(bucket, prefix))
    sums = [digest_of(store.get(bucket, prefix + file.path)).removeprefix("sha256:") for file in files]
    return BaseRecord(uri=uri, files=[BaseFile(**f._asdict(), sha256=sha) for f, sha in zip(files, sums, strict=True)])


def progress(share: float) -> TrainerStatus:
    """What a training pod posts."""
    values = {"current_step": int(share * 1000), "total_steps": 1000, "loss": 1.0 - share / 2}
    return TrainerStatus.model_validate({"metrics": [{"name": k, "value": str(v)} for k, v in values.items()]})


def _rows(config: dict[str, Any]) -> StoredManifest:
    content = json.dumps([config["source"], config["steps"]], sort_keys=True).encode()
    info = DatasetInfo(
        task=config["task"],
        digest=digest_of(content),
        rows={"train": 800, "validation": 100, "test": 100},
        classes={key: {"train": 400, "validation": 50, "test": 50} for key in ("good", "bad")},
        removed={"duplicate": 3},
    )
    files = [file_entry(f"{split}-00000.parquet", 1000) for split in ("train", "validation", "test")]
    return StoredManifest(kind="dataset", epoch=config["epoch"], files=files, info=info.dump())


def _model(config: dict[str, Any], rng: random.Random) -> StoredManifest:
    f1 = round(rng.uniform(0.5, 0.99), 3)
    info = ModelInfo.model_validate(
        {
            "task": config["task"],
            "run": config["run"],
            "model": config["model"],
            "labels": ["good", "bad"],
            "codec": {"maxLength": 128},
            "artifacts": exports(*config["export"]),
            "metrics": [measured(f1, f1)],
            "dataset": config["dataset"]["digest"],
            "base": config["base"]["digest"],
            "image": config["image"],
            "sample": {"text": "a fine day"},
        }
    )
    # Training is not the same twice: another pod of the run would publish other bytes.
    files = [file_entry(name, size + rng.randrange(1000)) for name, size in map(SIZES.__getitem__, config["export"])]
    return StoredManifest(kind="model", epoch=config["epoch"], files=files, info=info.dump())
