"""The fetch command on a real store: what it brings, and how it says no."""

import json
from pathlib import Path
from typing import Any

import pytest

from dev.localcluster.children import free_port
from dev.localcluster.minio import MinioServer
from modelyard.api import layout
from modelyard.api.run import TERMINATION_LIMIT, ExitCode, Manifest, Outcome, digest_of
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from modelyard_server.command import main
from modelyard_server.fetch import Version, parse
from tests.server.conftest import PREFIX
from tests.server.version import INFO
from tests.storage.way import Proxy, tls_front

DIGEST = "sha256:" + "0" * 64


@pytest.fixture(autouse=True)
def environment(minio: MinioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "termination").touch()
    for name, value in {
        "MODELYARD_STORE_ENDPOINT": minio.url,
        "MODELYARD_STORE_PATIENCE": "0.1",
        "MODELYARD_NAMESPACE": "team",
        "MODELYARD_TERMINATION_LOG": str(tmp_path / "termination"),
        "AWS_ACCESS_KEY_ID": minio.access_key,
        "AWS_SECRET_ACCESS_KEY": minio.secret_key,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


def test_an_own_authority_and_a_proxy(
    uri: str, target: Path, minio: MinioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_front(tmp_path / "authority", minio.endpoint, "IP:127.0.0.1") as port, Proxy()() as proxy:
        monkeypatch.setenv("MODELYARD_STORE_ENDPOINT", f"https://127.0.0.1:{port}")
        monkeypatch.setenv("MODELYARD_STORE_PROXY", proxy.url)
        refused(uri, target, ExitCode.STORE_DENIED, "chart value store.caBundle")
        monkeypatch.setenv("MODELYARD_STORE_CA", (tmp_path / "authority/ca.crt").read_text())
        assert main(["fetch", uri, str(target)]) == ExitCode.PUBLISHED
        assert (target / layout.MANIFEST).exists() and proxy.asked


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refused(uri: str, target: Path, code: ExitCode, *words: str) -> None:
    """The fetch fails with this code, one line that has the words, and the same in the termination log."""
    assert main(["fetch", uri, str(target)]) == code
    outcome = Outcome.model_validate_json((target.parent / "termination").read_bytes())
    assert (outcome.outcome, outcome.stage) == ("failed", "fetch")
    for word in words:
        assert word in outcome.message
    assert not (target / layout.MANIFEST).exists()


def test_what_is_fetched(
    uri: str, store: Store, bucket: str, target: Path, version: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in (PREFIX + "extra.json", PREFIX[:-1] + "0/extra.json"):
        store.put(bucket, key, b"{}")
    assert main(["fetch", uri, str(target)]) == 0
    assert names_in(target) == ["config.json", "manifest.json", "model.onnx", "tokenizer.json"]
    assert (target / "model.onnx").read_bytes() == (version / "model.onnx").read_bytes()
    assert (target / "manifest.json").read_bytes() == store.get(bucket, layout.manifest_key(PREFIX))
    assert "left in the store, as the ONNX model is served: model.safetensors (1000 bytes)" in capsys.readouterr().out
    assert (target.parent / "termination").read_bytes() == b""


def test_a_prefix_without_slash_is_that_folder_alone(store: Store, bucket: str, version: Path, target: Path) -> None:
    publish(store, bucket, "ns/team/run-10/", version, "model", {**INFO, "run": "run-10"})
    _, digest = publish(store, bucket, "ns/team/run-1/", version, "model", INFO)
    assert main(["fetch", f"modelyard://{bucket}/ns/team/run-1@{digest}", str(target)]) == 0
    assert Manifest.model_validate_json((target / "manifest.json").read_bytes()).info["run"] == "run-1"


def test_fetching_again_after_half_a_fetch(uri: str, target: Path) -> None:
    target.mkdir()
    (target / "model.onnx").write_bytes(b"half")
    (target / layout.MANIFEST).write_text("of another version")
    assert main(["fetch", uri, str(target)]) == 0
    assert main(["fetch", uri, str(target)]) == 0


def file_key(uri: str, name: str) -> str:
    return layout.file_key(PREFIX, uri.rpartition("@")[2], name, "")


def test_a_flipped_byte(uri: str, store: Store, bucket: str, target: Path) -> None:
    data = bytearray(store.get(bucket, file_key(uri, "model.onnx")))
    data[50] ^= 1
    store.put(bucket, file_key(uri, "model.onnx"), bytes(data))
    refused(uri, target, ExitCode.CORRUPT, "model.onnx is not what it was", "train a new version")


def test_a_missing_file(uri: str, store: Store, bucket: str, target: Path) -> None:
    store._delete(bucket, [file_key(uri, "tokenizer.json")])
    refused(uri, target, ExitCode.CORRUPT, "tokenizer.json is gone")


def test_a_failed_fetch_ends_what_was_served_before(uri: str, store: Store, bucket: str, target: Path) -> None:
    assert main(["fetch", uri, str(target)]) == 0
    store.put(bucket, file_key(uri, "model.onnx"), b"changed")
    refused(uri, target, ExitCode.CORRUPT)


def test_another_digest(uri: str, target: Path) -> None:
    refused(uri.rpartition("@")[0] + "@" + DIGEST, target, ExitCode.CORRUPT, "expected " + DIGEST)


@pytest.mark.parametrize("prefix", ["ns/other/x/", "ns/team-2/x/", "ns/tea", "ns", "x/ns/team/", "NS/team/"])
def test_another_namespace(bucket: str, target: Path, prefix: str) -> None:
    refused(
        f"modelyard://{bucket}/{prefix}@{DIGEST}", target, ExitCode.BAD_CONFIG, "outside this namespace", "ns/team/"
    )


@pytest.mark.parametrize(
    "uri",
    ["", "s3://b/p@" + DIGEST, "modelyard://bucket/p", "modelyard://bucket@" + DIGEST, "modelyard://bucket/p@sha256:0"],
)
def test_not_a_version(uri: str, target: Path) -> None:
    refused(uri, target, ExitCode.BAD_CONFIG, "expected modelyard://<bucket>/<prefix>@sha256:<manifest digest>")


@pytest.mark.parametrize("prefix", ["ns/team/../other/", "ns/team//x", "ns/team/./x", "/ns/team/x"])
def test_prefixes_with_dots(bucket: str, target: Path, prefix: str) -> None:
    refused(f"modelyard://{bucket}/{prefix}@{DIGEST}", target, ExitCode.BAD_CONFIG, "'..'")


def test_the_parts_of_a_uri() -> None:
    assert parse(f"modelyard://models/ns/team/x@{DIGEST}") == Version("models", "ns/team/x/", DIGEST)


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/model.onnx", "weights.pkl", "model.bin", "run.py"])
def test_names_that_are_never_fetched(uri: str, store: Store, bucket: str, target: Path, path: str) -> None:
    manifest = json.loads(store.get(bucket, layout.manifest_key(PREFIX)))
    manifest["files"].append({"path": path, "size": 1, "sha256": "0" * 64})
    refused(put_manifest(store, bucket, manifest), target, ExitCode.CORRUPT, "the manifest names a file")
    assert names_in(target) == []


def put_manifest(store: Store, bucket: str, content: dict[str, Any]) -> str:
    manifest = Manifest.model_validate(content)
    prefix = "ns/team/changed/"
    store.put(bucket, layout.manifest_key(prefix), manifest.to_bytes())
    return f"modelyard://{bucket}/{prefix}@{digest_of(manifest.to_bytes())}"


def test_a_version_without_onnx(store: Store, bucket: str, target: Path, tmp_path: Path) -> None:
    folder = tmp_path / "torch-only"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    _, digest = publish(store, bucket, PREFIX, folder, "model", {**INFO, "artifacts": INFO["artifacts"][:1]})
    uri = f"modelyard://{bucket}/{PREFIX}@{digest}"
    refused(uri, target, ExitCode.BAD_CONFIG, "no ONNX model", "spec.export: [safetensors, onnx]")


def test_rows_are_not_a_version(store: Store, bucket: str, target: Path, version: Path) -> None:
    _, digest = publish(store, bucket, PREFIX, version, "dataset", {})
    refused(f"modelyard://{bucket}/{PREFIX}@{digest}", target, ExitCode.BAD_CONFIG, "this is a dataset")


def test_nothing_there(bucket: str, target: Path) -> None:
    refused(f"modelyard://{bucket}/ns/team/x/@{DIGEST}", target, ExitCode.SOURCE_NOT_FOUND, "deploy another version")
    refused(f"modelyard://no-{bucket}/ns/team/x/@{DIGEST}", target, ExitCode.SOURCE_NOT_FOUND, "NoSuchBucket")


def test_a_wrong_key(uri: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-key")
    refused(uri, target, ExitCode.STORE_DENIED, "Secret modelyard-store-read of this namespace")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refused(uri, target, ExitCode.STORE_DENIED, "AWS_SECRET_ACCESS_KEY", "Secret modelyard-store-read")


def test_the_store_is_down(uri: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_STORE_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    refused(uri, target, ExitCode.STORE_UNAVAILABLE, "MODELYARD_STORE_ENDPOINT answers")


@pytest.mark.parametrize("endpoint", ["", "minio:9000", "ftp://minio"])
def test_no_endpoint(uri: str, target: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("MODELYARD_STORE_ENDPOINT", endpoint)
    refused(uri, target, ExitCode.BAD_CONFIG, "must be an http:// or https:// address")


def test_a_target_that_cannot_be_written(uri: str, tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    assert main(["fetch", uri, str(tmp_path / "target")]) == ExitCode.INTERNAL
    assert b"writable volume" in (tmp_path / "termination").read_bytes()


def test_the_report_is_one_short_line(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused("ü\n" * 5000, target, ExitCode.BAD_CONFIG)
    assert len((target.parent / "termination").read_bytes()) <= TERMINATION_LIMIT
    assert capsys.readouterr().err.count("\n") == 1
