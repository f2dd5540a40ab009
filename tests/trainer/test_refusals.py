"""Each bad input ends the run with its own exit code and a message that names cause, field and remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from modelyard import names
from modelyard.api import layout
from modelyard.api.run import ExitCode
from modelyard_trainer.command import make_run
from modelyard_trainer.machine import cpu_has_bf16
from modelyard_trainer.run import TrainRun
from modelyard_trainer.stages import fetch
from modelyard_trainer.stopping import Stop
from tests.storage.way import Proxy, tls_front
from tests.trainer.harness import BUCKET, TrainerHarness, environment
from tests.trainer.words import json_lines, rows

GOOD = json_lines(rows(60))
ONE_CLASS = json_lines([{**row, "label": "good"} for row in rows(20)])
RARE = json_lines([*rows(200), {"text": "only one", "label": "rare"}])


@pytest.mark.parametrize(
    ("name", "content", "code", "parts"),
    [
        ("broken", GOOD + b'{"text": "x", ', ExitCode.BAD_DATA, ["rows.jsonl line 61 is not JSON"]),
        ("columns", b'{"review": "x", "label": 1}\n', ExitCode.BAD_DATA, ["spec.source.columns.text", "label, review"]),
        ("empty", b"", ExitCode.BAD_DATA, ["no rows are left", "spec.source"]),
        ("one-class", ONE_CLASS, ExitCode.BAD_DATA, ["all 20 rows have the class 'good'", "spec.source.columns.label"]),
        ("missing", None, ExitCode.SOURCE_NOT_FOUND, ["spec.source.s3.uri"]),
    ],
)
def test_bad_rows(harness: TrainerHarness, name: str, content: bytes | None, code: ExitCode, parts: list[str]) -> None:
    key = f"raw/{name}/rows.jsonl"
    if content is not None:
        harness.put(key, content)
    config = harness.prepare_config(name, {"s3": {"uri": f"s3://{BUCKET}/{key}"}})
    found, outcome = harness.run(config)
    assert found == code
    for part in parts:
        assert part in outcome.message
    assert harness.report(config).outcome == outcome


def test_prefix_of_many_objects_and_a_second_time(harness: TrainerHarness) -> None:
    for number in range(3):
        harness.put(f"raw/many/part-{number}.jsonl", json_lines(rows(300)[number::3]))
    harness.put("raw/many/_SUCCESS", b"")
    harness.put("raw/whole.jsonl", json_lines(rows(300)))
    digests = set()
    for name, uri in {"many": "raw/many/", "whole": "raw/whole.jsonl"}.items():
        config = harness.prepare_config(name, {"s3": {"uri": f"s3://{BUCKET}/{uri}"}})
        first, second = harness.run(config), harness.run(config)
        assert first[0] == second[0] == ExitCode.PUBLISHED
        assert first[1].digest == second[1].digest
        digests.add(first[1].digest)
    assert len(digests) == 1


def test_a_class_of_one_row_is_named_and_trains(harness: TrainerHarness) -> None:
    config = harness.prepare_config("rare", {"s3": {"uri": harness.put("raw/rare.jsonl", RARE)}})
    assert harness.run(config)[0] == ExitCode.PUBLISHED
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))["info"]
    assert [note for note in info["notes"] if "class 'rare' has 1 train rows" in note] == info["notes"] != []


def test_inline_rows(harness: TrainerHarness) -> None:
    config = harness.prepare_config("inline", {"inline": rows(150)})
    assert harness.run(config)[0] == ExitCode.PUBLISHED


def test_empty_prefix(harness: TrainerHarness) -> None:
    code, outcome = harness.run(harness.prepare_config("nothing", {"s3": {"uri": f"s3://{BUCKET}/raw/nothing/"}}))
    assert code == ExitCode.SOURCE_NOT_FOUND
    assert "no objects below" in outcome.message


@pytest.mark.parametrize(
    ("endpoint", "key", "code", "part"),
    [
        ("own", "nobody", ExitCode.STORE_DENIED, "spec.source.s3.secret"),
        ("http://127.0.0.1:9", "nobody", ExitCode.STORE_UNAVAILABLE, "spec.source.s3.endpoint"),
    ],
)
def test_source_of_another_store(harness: TrainerHarness, endpoint: str, key: str, code: ExitCode, part: str) -> None:
    source = {
        "uri": f"s3://{BUCKET}/raw/words.jsonl",
        "endpoint": harness.server.url if endpoint == "own" else endpoint,
        "secret": "theirs",
    }
    with environment({"SOURCE_AWS_ACCESS_KEY_ID": key, "SOURCE_AWS_SECRET_ACCESS_KEY": "wrong-key"}):
        found, outcome = harness.run(harness.prepare_config(f"other-{int(code)}", {"s3": source}))
    assert found == code
    assert part in outcome.message


def test_a_source_behind_an_own_authority_and_a_proxy(harness: TrainerHarness, tmp_path: Path) -> None:
    uri = harness.put("raw/behind.jsonl", json_lines(rows(200)))
    keys = {
        "SOURCE_AWS_ACCESS_KEY_ID": harness.server.access_key,
        "SOURCE_AWS_SECRET_ACCESS_KEY": harness.server.secret_key,
    }
    with (
        tls_front(tmp_path, harness.server.endpoint, "IP:127.0.0.1") as port,
        Proxy()() as proxy,
        environment(keys),
    ):
        source = {"uri": uri, "secret": "theirs", "endpoint": f"https://127.0.0.1:{port}", "proxy": proxy.url}
        code, outcome = harness.run(harness.prepare_config("behind-1", {"s3": source}))
        assert (code, outcome.reason) == (ExitCode.STORE_DENIED, names.STORE_MISCONFIGURED)
        assert "into spec.source.s3.caBundle" in outcome.message
        known = {**source, "caBundle": (tmp_path / "ca.crt").read_text()}
        away = {**known, "proxy": "http://127.0.0.1:9"}
        code, outcome = harness.run(harness.prepare_config("behind-2", {"s3": away}))
        assert code == ExitCode.STORE_UNAVAILABLE and "correct spec.source.s3.proxy" in outcome.message
        assert harness.run(harness.prepare_config("behind-3", {"s3": known}))[0] == ExitCode.PUBLISHED
    assert proxy.asked


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def foreign(folder: Path) -> None:
    change(folder, model_type="resnet", architectures=["ResNetModel"])


def other_size(folder: Path) -> None:
    change(folder, hidden_size=64)


def poisoned(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.weight"] = torch.full_like(weights["embeddings.LayerNorm.weight"], float("nan"))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def torn(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_settings(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def change(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("spoil", "code", "reason", "parts"),
    [
        (pickled, ExitCode.BASE_INVALID, names.BASE_UNSAFE, ["no *.safetensors", "pytorch_model.bin"]),
        (foreign, ExitCode.BASE_INVALID, names.BASE_INVALID, ["spec.from.base", "resnet"]),
        (other_size, ExitCode.BASE_INVALID, names.BASE_INVALID, ["spec.from.base"]),
        (torn, ExitCode.BASE_INVALID, names.BASE_INVALID, ["spec.from.base"]),
        (no_tokenizer, ExitCode.BASE_INVALID, names.BASE_INVALID, ["no tokenizer.json"]),
        (no_settings, ExitCode.BASE_INVALID, names.BASE_INVALID, ["config.json", "not JSON"]),
        (
            poisoned,
            ExitCode.NOT_A_NUMBER,
            names.NOT_A_NUMBER,
            ["at step 1", "spec.train.learningRate", "spec.from.base"],
        ),
    ],
)
def test_bad_base(
    harness: TrainerHarness,
    base_folder: Path,
    dataset: dict[str, str],
    tmp_path: Path,
    spoil: Callable[[Path], None],
    code: ExitCode,
    reason: str,
    parts: list[str],
) -> None:
    folder, name = tmp_path / "base", spoil.__name__.replace("_", "-")
    shutil.copytree(base_folder, folder)
    spoil(folder)
    config = harness.train_config(f"bad-base-{name}", harness.put_folder(f"base/bad-{name}/", folder), dataset)
    found, outcome = harness.run(config)
    assert (found, outcome.reason) == (code, reason), outcome.message
    for part in parts:
        assert part in outcome.message
    assert harness.store.stat(BUCKET, layout.manifest_key(layout.version_prefix(config.prefix))) is None


def test_code_in_a_base_is_never_run(
    harness: TrainerHarness, base_folder: Path, dataset: dict[str, str], tmp_path: Path
) -> None:
    folder, mark = tmp_path / "base", tmp_path / "mark"
    shutil.copytree(base_folder, folder)
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w')\nclass Evil: pass\n")
    change(folder, auto_map={"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Evil"})
    train = {"epochs": 1, "batchSize": 64}
    pin = harness.put_folder("base/code/", folder)
    code, outcome = harness.run(harness.train_config("run-code", pin, dataset, train=train, export=["safetensors"]))
    assert code == ExitCode.PUBLISHED, outcome.message
    assert not mark.exists()


def test_base_that_changed(
    harness: TrainerHarness, base_folder: Path, base: dict[str, str], dataset: dict[str, str]
) -> None:
    pin = harness.put_folder("base/changing/", base_folder)
    key = "base/changing/model.safetensors"
    weights = bytearray(harness.store.get(BUCKET, key))
    weights[-1] ^= 1
    harness.store.put(BUCKET, key, bytes(weights))
    code, outcome = harness.run(harness.train_config("run-changed", pin, dataset))
    assert (code, outcome.reason) == (ExitCode.BASE_INVALID, names.BASE_CHANGED)
    assert "spec.attempt" in outcome.message and "model.safetensors" in outcome.message
    harness.store.delete(BUCKET, [key])
    code, outcome = harness.run(harness.train_config("run-taken", pin, dataset))
    assert (code, outcome.reason) == (ExitCode.BASE_INVALID, names.BASE_INVALID)


@pytest.mark.parametrize("change", [{"digest": "sha256:" + "0" * 64}, {"record": "ns/team/bases/records/none.json"}])
def test_a_record_that_is_not_the_pinned_ones(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], change: dict[str, str]
) -> None:
    name = f"run-record-{next(iter(change))}"
    code, outcome = harness.run(harness.train_config(name, {**base, **change}, dataset))
    assert (code, "record of s3://" in outcome.message) == (ExitCode.CORRUPT, True)


def test_base_that_was_uploaded_again_in_other_parts(
    harness: TrainerHarness, base_folder: Path, tmp_path: Path, dataset: dict[str, str]
) -> None:
    large = tmp_path / "base"
    shutil.copytree(base_folder, large)
    (large / "more.safetensors").write_bytes(b"x" * (6 << 20))
    pin, key = harness.put_folder("base/again/", large), "base/again/more.safetensors"
    before = harness.store.stat(BUCKET, key)
    harness.store._client.fput_object(BUCKET, key, str(large / "more.safetensors"), part_size=5 << 20)
    with environment(harness.environment()):
        run = cast("TrainRun", make_run(harness.train_config("run-again", pin, dataset), tmp_path / "work", Stop()))
        run.progress.close()
    fetch.execute(run)
    assert harness.store.stat(BUCKET, key) != before
    assert (run.base / "more.safetensors").read_bytes() == b"x" * (6 << 20)


def test_base_that_is_not_there(harness: TrainerHarness, dataset: dict[str, str]) -> None:
    pin = {"uri": "s3://nowhere/base/", "digest": "sha256:" + "0" * 64, "record": "none"}
    code, outcome = harness.run(harness.train_config("run-nowhere", pin, dataset))
    assert (code, outcome.reason) == (ExitCode.BASE_INVALID, names.BASE_NOT_FOUND)
    assert "spec.from.base" in outcome.message


def test_flipped_byte_in_the_rows(harness: TrainerHarness, base: dict[str, str]) -> None:
    pin = harness.prepared("flipped", 200)
    key = harness.file_key(pin["prefix"], "train-00000.parquet")
    data = bytearray(harness.store.get(BUCKET, key))
    data[100] ^= 1
    harness.store.put(BUCKET, key, bytes(data))
    code, outcome = harness.run(harness.train_config("run-flipped", base, pin))
    assert code == ExitCode.CORRUPT
    assert "train-00000.parquet is not what it was" in outcome.message


def test_rows_that_are_gone_or_others(harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]) -> None:
    gone = {**dataset, "prefix": "ns/team/datasets/gone/p1/"}
    assert harness.run(harness.train_config("run-gone", base, gone))[0] == ExitCode.SOURCE_NOT_FOUND
    other = {**dataset, "digest": "sha256:" + "0" * 64}
    assert harness.run(harness.train_config("run-other", base, other))[0] == ExitCode.CORRUPT


def test_more_tokens_than_the_base_takes(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]
) -> None:
    code, outcome = harness.run(harness.train_config("run-length", base, dataset, input={"text": {"maxLength": 512}}))
    assert code == ExitCode.BAD_CONFIG
    assert "spec.input.text.maxLength is 512" in outcome.message


def test_bf16_is_not_emulated(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("about CPUs")
    monkeypatch.setattr("modelyard_trainer.machine.cpu_has_bf16", lambda: False)
    config = harness.train_config("run-bf16", base, dataset, train={"precision": "bf16"})
    code, outcome = harness.run(config)
    assert code == ExitCode.BAD_CONFIG
    assert "spec.train.precision" in outcome.message
    assert isinstance(cpu_has_bf16(), bool)


def test_store_that_is_away(harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str]) -> None:
    location = {"endpoint": "http://127.0.0.1:9", "bucket": BUCKET}
    code, outcome = harness.run(harness.train_config("run-away", base, dataset, store=location))
    assert (code, outcome.reason) == (ExitCode.STORE_UNAVAILABLE, names.STORE_UNAVAILABLE)
