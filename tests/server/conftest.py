"""A published version of a tiny classifier, and the server that serves it; needs the [server] extra."""

import importlib.util
import json
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.localcluster.children import Child, free_port
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import answers, wait_until
from modelyard.storage.publish import describe, publish
from modelyard.storage.store import Store

if importlib.util.find_spec("kserve") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.server.version import INFO, write_version

PREFIX = "ns/team/models/reviews/runs/run-1/version/"


@pytest.fixture(scope="session")
def minio() -> Iterator[MinioServer]:
    with MinioServer() as server:
        yield server


@pytest.fixture
def store(minio: MinioServer) -> Store:
    return Store.connect(minio.url, minio.access_key, minio.secret_key)


@pytest.fixture
def bucket(store: Store) -> str:
    name = f"test-{uuid.uuid4().hex[:12]}"
    store.ensure_bucket(name)
    return name


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a version, as a run publishes them."""
    return write_version(tmp_path_factory.mktemp("version"))


@pytest.fixture
def uri(store: Store, bucket: str, version: Path) -> str:
    _, digest = publish(store, bucket, PREFIX, version, "model", INFO)
    return f"modelyard://{bucket}/{PREFIX}@{digest}"


def complete(folder: Path) -> Path:
    """The folder with its manifest, as a fetch leaves it."""
    (folder / "manifest.json").write_bytes(describe(folder, "model", INFO).to_bytes())
    return folder


@dataclass
class Answer:
    code: int
    headers: Mapping[str, str]
    body: Any


@dataclass
class Server:
    """A model server in a process of its own."""

    folder: Path
    model_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "modelyard_server", "serve", "--model-dir", str(self.model_dir)]
        command += ["--http-port", str(self.port), "--grpc-port", str(self.grpc_port)]
        self.process = Child("server", command, self.folder)

    def start(self) -> None:
        names = {"MODELYARD_MODEL": "reviews", "MODELYARD_VERSION": "7", "MODELYARD_DRAIN_SECONDS": "0"}
        self.process.start({**os.environ, **names, **self.settings})
        wait_until(
            lambda: self.process.must_run() and answers(f"{self.url}/v2/models/reviews/ready"), "server", 60, pause=0.05
        )

    def log(self) -> str:
        return self.process.log.read_text()

    def get(self, path: str) -> Answer:
        return self.send(path, None)

    def v1(self, body: Any) -> Answer:
        return self.send("/v1/models/reviews:predict", body)

    def v2(self, body: Any) -> Answer:
        return self.send("/v2/models/reviews/infer", body)

    def send(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """POST a body (JSON unless bytes), or GET without one."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as fault:
            return _answer(fault.code, dict(fault.headers), fault.read())


def _answer(code: int, headers: Mapping[str, str], data: bytes) -> Answer:
    try:
        return Answer(code, headers, json.loads(data))
    except ValueError:
        return Answer(code, headers, data)


@pytest.fixture(scope="session")
def server(version: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), complete(version))
    server.start()
    yield server
    server.process.stop()
