from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.storage.store import Store
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.tinybase import write_base

# Two threads spend more on meeting than a model of 20,000 weights takes to compute.
os.environ["OMP_NUM_THREADS"] = "1"
pytest.importorskip("torch", reason="these tests run inside the trainer image")


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainerHarness]:
    logging.getLogger().setLevel(logging.INFO)
    with MinioServer() as server:
        store = Store.connect(server.url, server.access_key, server.secret_key, patience=5)
        store.ensure_bucket(BUCKET)
        yield TrainerHarness(server, store, tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def base(harness: TrainerHarness, base_folder: Path) -> dict[str, str]:
    return harness.put_folder("base/tiny/", base_folder)


@pytest.fixture(scope="session")
def dataset(harness: TrainerHarness) -> dict[str, str]:
    return harness.prepared("words")
