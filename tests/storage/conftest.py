"""A real object store for the tests of storage: one server, one bucket per test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.localcluster.minio import MinioServer
from modelyard.storage.store import Store


def connect(minio: MinioServer, *, patience: float = 0.0, secret_key: str | None = None) -> Store:
    return Store.connect(minio.url, minio.access_key, secret_key or minio.secret_key, patience=patience, timeout=5)


@pytest.fixture(scope="session")
def minio() -> Iterator[MinioServer]:
    with MinioServer() as server:
        yield server


@pytest.fixture
def store(minio: MinioServer) -> Store:
    return connect(minio)


@pytest.fixture
def bucket(store: Store) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    store.ensure_bucket(name)
    return name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small model: three files, one of them in a folder of its own."""
    source = tmp_path / "source"
    (source / "onnx").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "model.safetensors").write_bytes(b"weights" * 1000)
    (source / "onnx" / "model.onnx").write_bytes(bytes(range(256)) * 50)
    return source
