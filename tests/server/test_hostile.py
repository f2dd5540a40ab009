"""Hostile versions through the real loader of the server: nothing outside the version's folder is read or run."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dev.localcluster.minio import MinioServer
from modelyard.api.run import FileEntry, Manifest, digest_of
from modelyard.storage.errors import Corrupt, StoreError
from modelyard.storage.publish import describe
from modelyard.storage.store import Store
from modelyard_server.fetch import fetch
from modelyard_server.load import load
from tests.server.conftest import PREFIX, complete
from tests.server.onnxfile import FLOAT, INT64, classifier, message, model, node, number_field, value
from tests.server.version import INFO, WORDS

WEIGHTS: np.ndarray = np.array(list(WORDS.values()), dtype=np.float32)


class Payload:
    """Creates a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.fixture
def folder(version: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(version, tmp_path / "models"))


def test_weights_beside_the_model_are_loaded(folder: Path) -> None:
    """Or the cases below would be refused for another reason."""
    (folder / "model.onnx").write_bytes(classifier(WEIGHTS, "model.onnx.data"))
    (folder / "model.onnx.data").write_bytes(WEIGHTS.tobytes())
    assert load(complete(folder)).graphs


@pytest.mark.parametrize("where", ["../secret.data", "a/../../secret.data", "/proc/self/environ", "{}/secret.data"])
def test_weights_outside_of_the_folder(folder: Path, tmp_path: Path, where: str) -> None:
    (tmp_path / "secret.data").write_bytes(WEIGHTS.tobytes())
    (folder / "model.onnx").write_bytes(classifier(WEIGHTS, where.format(tmp_path)))
    with pytest.raises(RuntimeError, match=r"cannot load model\.onnx: .*External data path"):
        load(complete(folder))


def test_weights_behind_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.data").write_bytes(WEIGHTS.tobytes())
    (folder / "model.onnx").write_bytes(classifier(WEIGHTS, "model.onnx.data"))
    complete(folder)
    (folder / "model.onnx.data").symlink_to(tmp_path / "secret.data")
    with pytest.raises(RuntimeError, match=r"cannot load model\.onnx: .*External data path"):
        load(folder)
    with pytest.raises(Corrupt, match=r"model\.onnx\.data is a link"):
        describe(folder, "model", INFO)


def test_an_operator_from_a_library(folder: Path) -> None:
    """A model may name operators of somebody else's library; none is ever loaded."""
    evil = node("Evil", ["input_ids"], "logits") + message(7, b"evil.example.com")
    domain = message(8, message(1, b"evil.example.com") + number_field(2, 1))
    ids, logits = value("input_ids", INT64, ["rows", "tokens"]), value("logits", FLOAT, ["rows", 3])
    (folder / "model.onnx").write_bytes(model([evil], [], [ids], [logits]) + domain)
    with pytest.raises(RuntimeError, match=r"cannot load model\.onnx: .*(Evil|evil)"):
        load(complete(folder))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_pickle_in_place_of_a_file(folder: Path, tmp_path: Path, name: str, zipped: bool) -> None:
    canary, data = tmp_path / "canary", pickle.dumps(Payload(tmp_path / "canary"))
    if zipped:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("archive/data.pkl", data)
        data = stream.getvalue()
    (folder / name).write_bytes(data)
    told = "the files beside the model" if name == "tokenizer.json" else name
    with pytest.raises(RuntimeError, match=f"cannot load {told}"):
        load(complete(folder))
    assert not canary.exists()


@pytest.mark.parametrize("path", ["../../evil.json", "/etc/evil.json", "a/../../evil.json", "evil.pkl", "lib.so"])
def test_a_manifest_that_leads_out(
    minio: MinioServer, store: Store, bucket: str, folder: Path, tmp_path: Path, path: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("MODELYARD_NAMESPACE", "team")
    monkeypatch.setenv("MODELYARD_STORE_ENDPOINT", minio.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", minio.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", minio.secret_key)
    honest = describe(folder, "model", INFO)
    bad = Manifest(kind="model", files=[*honest.files, FileEntry(path=path, size=1, sha256="0" * 64)], info=INFO)
    data = json.dumps(bad.dump()).encode()
    store.put(bucket, f"{PREFIX}manifest.json", data)
    with pytest.raises(StoreError, match="the manifest names a file"):
        fetch(f"modelyard://{bucket}/{PREFIX}@{digest_of(data)}", tmp_path / "served")
    assert not list((tmp_path / "served").rglob("*")) if (tmp_path / "served").exists() else True
