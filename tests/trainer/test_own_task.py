"""A task that only a foreign trainer knows: its rows, and what it may and may not leave behind."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, Manifest, ModelInfo, PrepareConfig, TrainConfig, format_digest
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.test_foreign import Pod

REPORT: dict[str, Any] = {
    "metrics": {"rmse": 3.5, "r2": -0.25},
    "artifacts": [
        {"format": "json", "files": ["weights.json"]},
        {"format": "saved-model", "precision": "fp64", "files": ["saved/1/a b.bin", "weights.json"]},
    ],
}
LINES = ["x,y,note"] + [f"{n},{n * 3},{'ﬁ' if n % 2 else 'b'}{n}" for n in range(60)]


def prepare_config(harness: TrainerHarness, name: str, uri: str, **changes: Any) -> PrepareConfig:
    changes.setdefault("steps", [{"split": {"test": 0.2, "validation": 0.2}}])
    return harness.prepare_config(name, {"s3": {"uri": uri}, **changes.pop("source", {})}, task="custom", **changes)


@pytest.fixture(scope="module")
def dataset(harness: TrainerHarness) -> dict[str, str]:
    """Sixty rows of a table."""
    config = prepare_config(harness, "own", harness.put("raw/own.csv", "\n".join(LINES).encode()))
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    return pin(harness, config)


def pin(harness: TrainerHarness, config: PrepareConfig) -> dict[str, str]:
    manifest = Manifest.model_validate_json(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))
    return {"prefix": config.prefix, "digest": manifest.info["digest"]}


def train_config(harness: TrainerHarness, name: str, dataset: dict[str, str]) -> TrainConfig:
    none = {"scratch": "own", "method": {"full": {}}, "input": {}}
    return harness.train_config(name, None, dataset, task="custom", **none)


@pytest.fixture(scope="module")
def fetched(harness: TrainerHarness, dataset: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Pod:
    """A pod whose first container is through."""
    pod = Pod(harness, train_config(harness, "own-rows", dataset), tmp_path_factory.mktemp("pod"))
    code, outcome = pod.ours("fetch")
    assert code == ExitCode.PUBLISHED, outcome
    return pod


def handed(pod: Pod) -> dict[str, list[dict[str, Any]]]:
    return {path.stem: list(map(json.loads, path.read_text().splitlines())) for path in pod.data.iterdir()}


def test_all_columns_and_all_splits_are_handed_over_as_they_are(fetched: Pod) -> None:
    found = handed(fetched)
    assert set(found) == {"train", "validation", "test"}
    rows = sorted((row for split in found.values() for row in split), key=lambda row: int(row["x"]))
    assert [",".join((row["x"], row["y"], row["note"])) for row in rows] == LINES[1:]
    assert all(3 <= len(found[split]) <= 25 for split in ("validation", "test"))


def test_types_and_steps(harness: TrainerHarness, tmp_path: Path) -> None:
    """Numbers, lists and null stay; equal rows are one; a text is cleaned, an empty row dropped."""
    rows: list[dict[str, Any]] = [{"n": n, "x": n / 3, "l": [n, "ﬁ"], "t": " ﬁ ", "z": None} for n in range(40)]
    lines = [*map(json.dumps, [*rows, rows[0], {"n": None, "t": " "}]), '{"n": 99, "x": NaN}']
    steps = [{"clean": {}}, {"dedupe": {}}, {"split": {"test": 0.2, "validation": 0.2, "groupBy": "n"}}]
    config = prepare_config(harness, "types", harness.put("raw/types.jsonl", "\n".join(lines).encode()), steps=steps)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome
    manifest = Manifest.model_validate_json(harness.store.get(BUCKET, layout.manifest_key(config.prefix)))
    assert (manifest.info["removed"]["duplicate"], manifest.info["removed"]["empty"]) == (1, 1)
    assert manifest.info["notes"] == ["1 row has nothing and is left out: types.jsonl line 42"]
    pod = Pod(harness, train_config(harness, "own-types", pin(harness, config)), tmp_path)
    assert pod.ours("fetch")[0] == ExitCode.PUBLISHED
    found = sorted((row for split in handed(pod).values() for row in split), key=lambda row: int(row["n"]))
    assert found[:-1] == [{**row, "l": [row["n"], "fi"], "t": "fi"} for row in rows]
    assert found[-1] == {"n": 99, "x": None}


def test_parquet_with_all_of_its_columns(harness: TrainerHarness, tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.table({"a": list(range(30)), "b": [n / 7 for n in range(30)]}), tmp_path / "t.parquet")
    config = prepare_config(harness, "pq", harness.put("raw/t.parquet", (tmp_path / "t.parquet").read_bytes()))
    assert harness.run(config)[0] == ExitCode.PUBLISHED
    pod = Pod(harness, train_config(harness, "own-pq", pin(harness, config)), tmp_path / "pod")
    assert pod.ours("fetch")[0] == ExitCode.PUBLISHED
    found = sorted((row for split in handed(pod).values() for row in split), key=lambda row: int(row["a"]))
    assert found == [{"a": n, "b": n / 7} for n in range(30)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x,x,y\n1,2,3\n", "has the column x 2 times"),
        ("x\n", "no rows are left"),
        ("x,y\n1\n", "line 2 has 1 cells"),
    ],
)
def test_bad_tables_are_named(harness: TrainerHarness, text: str, told: str) -> None:
    name = f"bad{len(text)}"
    code, outcome = harness.run(prepare_config(harness, name, harness.put(f"raw/{name}.csv", text.encode())))
    assert code == ExitCode.BAD_DATA and told in outcome.message


def leave(output: Path, report: dict[str, Any] | str = REPORT) -> None:
    (output / "saved/1").mkdir(parents=True)
    (output / "saved/1/a b.bin").write_bytes(b"weights")
    (output / "weights.json").write_text("[1, 2]")
    (output / "notes.txt").write_text("mine")
    (output / "report.json").write_text(report if isinstance(report, str) else json.dumps(report))


def a_pod(harness: TrainerHarness, dataset: dict[str, str], name: str, folder: Path) -> Pod:
    return Pod(harness, train_config(harness, name, dataset), folder)


def test_what_it_lists_is_published(harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path) -> None:
    pod = a_pod(harness, dataset, "own-good", tmp_path)
    leave(pod.output)
    code, outcome = pod.ours("publish")
    assert code == ExitCode.PUBLISHED, outcome
    key = layout.manifest_key(layout.version_prefix(pod.config.prefix))
    manifest = Manifest.model_validate_json(harness.store.get(BUCKET, key))
    assert {entry.path for entry in manifest.files} == {"weights.json", "saved/1/a b.bin", "report.json"}
    info = ModelInfo.model_validate(manifest.info)
    assert (info.task, info.base, info.labels) == ("custom", None, [])
    assert [(a.format_, a.precision) for a in info.artifacts] == [("json", "unknown"), ("saved-model", "fp64")]
    digests = [format_digest(manifest.files, a.format_, a.files) for a in info.artifacts]
    assert len(set(digests)) == 2, "each format has the digest of its own files"
    (measured,) = info.metrics
    assert (measured.primary, measured.values) == ("rmse", REPORT["metrics"]), "the first one stands for the whole"
    assert harness.report(pod.config).train["left_out"] == ["notes.txt"]


def changed(**fields: Any) -> dict[str, Any]:
    return {**REPORT, **fields}


def files(*names: str) -> dict[str, Any]:
    return changed(artifacts=[{"format": "json", "files": list(names)}])


MANY = {f"m{number}": 1.0 for number in range(65)}
WRONG: list[tuple[dict[str, Any] | str, str]] = [
    ("{", "report.json: Invalid JSON"),
    ("[" * 100_000, "report.json"),
    ({}, "metrics: Field required"),
    (changed(metrics={}), "metrics: Dictionary should have at least 1"),
    (changed(metrics=MANY), "at most 64"),
    ('{"metrics": {"rmse": NaN}, "artifacts": []}', "metrics.rmse: Input should be a finite number"),
    ('{"metrics": {"rmse": 1e400}, "artifacts": []}', "metrics.rmse"),
    (changed(metrics={"rmse": "3.5"}), "metrics.rmse: Input should be a valid number"),
    (changed(metrics={"rmse": True}), "metrics.rmse: Input should be a valid number"),
    (changed(metrics={"rm se": 1}), "metrics.rm se: String should match pattern"),
    (changed(metrics={"m" * 65: 1}), "String should have at most 64"),
    (changed(metrics={"": 1}), "metrics"),
    (changed(primary="mae"), "primary is mae, metrics has rmse, r2"),
    (changed(perClass={"old": {"rmse": None}}), "perClass.old.rmse"),
    (changed(metric=3), "metric: Extra inputs are not permitted"),
    (changed(artifacts=[]), "artifacts: List should have at least 1"),
    (changed(artifacts=[*REPORT["artifacts"], REPORT["artifacts"][0]]), "json in unknown more than once"),
    (files(), "artifacts.0.files"),
    (files("../etc/passwd"), "artifacts.0.files.0"),
    (files("/etc/passwd"), "artifacts.0.files.0"),
    (files("saved/../weights.json"), "artifacts.0.files.0"),
    (files(".hidden"), "artifacts.0.files.0"),
    (files("report.json"), "whose name is taken"),
    (files("manifest.json"), "whose name is taken"),
    (files("weights.bin"), "names weights.bin, which is not there"),
    (files("saved"), "saved is a link or no regular file"),
    (files("weights.json/x"), "which is not there"),
]


@pytest.mark.parametrize(("report", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_is_wrong_with_a_report_is_named(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path, report: dict[str, Any] | str, told: str
) -> None:
    refused(harness, dataset, tmp_path, lambda output: leave(output, report), told)


def no_report(output: Path) -> None:
    (output / "weights.json").write_text("{}")


def a_link(output: Path) -> None:
    leave(output)
    (output / "weights.json").unlink()
    (output / "weights.json").symlink_to("/etc/passwd")


def a_linked_folder(output: Path) -> None:
    leave(output)
    (output / "saved").rename(output / "elsewhere")
    (output / "saved").symlink_to(output / "elsewhere")


def a_linked_report(output: Path) -> None:
    leave(output)
    (output / "report.json").rename(output / "mine.json")
    (output / "report.json").symlink_to(output / "mine.json")


def a_pipe(output: Path) -> None:
    leave(output)
    (output / "weights.json").unlink()
    os.mkfifo(output / "weights.json")


def a_large_report(output: Path) -> None:
    leave(output, json.dumps(REPORT) + " " * (1 << 20))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_report, "there is no report.json"),
        (a_link, "weights.json is a link"),
        (a_linked_folder, "a folder of saved/1/a b.bin is a link"),
        (a_linked_report, "report.json is a link"),
        (a_pipe, "no regular file"),
        (a_large_report, "report.json has more than 1 MiB"),
    ],
)
def test_what_is_no_file_is_named(
    harness: TrainerHarness, dataset: dict[str, str], tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    refused(harness, dataset, tmp_path, spoil, told)


def refused(
    harness: TrainerHarness, dataset: dict[str, str], folder: Path, spoil: Callable[[Path], None], told: str
) -> None:
    pod = a_pod(harness, dataset, folder.name, folder)
    spoil(pod.output)
    code, outcome = pod.ours("publish")
    assert (code, outcome.reason) == (ExitCode.BAD_OUTPUT, "OutputInvalid"), outcome
    assert told in outcome.message
    key = layout.manifest_key(layout.version_prefix(pod.config.prefix))
    assert harness.store.stat(BUCKET, key) is None


def test_our_own_trainer_refuses_it_at_once(harness: TrainerHarness, dataset: dict[str, str]) -> None:
    code, outcome = harness.run(train_config(harness, "own-ours", dataset))
    assert code == ExitCode.BAD_CONFIG
    assert "TrainingProfile with spec.trainer.image and spec.trainer.command" in outcome.message
