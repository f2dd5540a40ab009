"""Bad data and missing inputs in real pods: each ends with a condition that names cause, field and remedy."""

from __future__ import annotations

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from tests.e2e.harness import ClusterHarness, Manifest, dataset, finetunejob
from tests.e2e.tinybase import base_files
from tests.trainer.words import json_lines, rows

ONE_CLASS = [{**row, "label": "good"} for row in rows(60)]
FILES = {
    "broken.jsonl": json_lines(rows(60)) + b'{"text": "cut off, "label"\n' + json_lines(rows(5, seed=1)),
    "one-class.jsonl": json_lines(ONE_CLASS),
    "one-row-per-class.jsonl": json_lines([{"text": word, "label": word} for word in ("good", "bad", "plain")]),
    "empty.jsonl": b"",
}
BAD_DATASETS: dict[str, tuple[Manifest, str, list[str]]] = {
    "broken": (dataset("broken", "s3://data/bad/broken.jsonl"), "BadData", ["broken.jsonl", "61"]),
    "one-class": (dataset("one-class", "s3://data/bad/one-class.jsonl"), "BadData", ["good"]),
    "one-row": (dataset("one-row", "s3://data/bad/one-row-per-class.jsonl"), "BadData", ["validation", "3 rows"]),
    "empty": (dataset("empty", "s3://data/bad/empty.jsonl"), "BadData", ["empty.jsonl"]),
    "column": (
        dataset("column", columns={"text": "body", "label": "label"}),
        "BadData",
        ["spec.source.columns.text", "body", "text"],
    ),
    "nothing": (dataset("nothing", "s3://data/nothing/here.jsonl"), "SourceNotFound", ["s3://data/nothing/here.jsonl"]),
}
BAD_JOBS: dict[str, tuple[Manifest, str, list[str]]] = {
    "no-dataset": (finetunejob("no-dataset", "missing"), "DatasetNotFound", ["missing", "spec.dataset.ref"]),
    "no-profile": (finetunejob("no-profile", "good", profile="fast"), "ProfileNotFound", ["fast", "spec.profile"]),
    "no-base": (
        finetunejob("no-base", "good", **{"from": {"base": "s3://base/nothing/"}}),
        "BaseModelNotFound",
        ["s3://base/nothing/", "spec.from.base"],
    ),
    "pickle": (
        finetunejob("pickle", "good", **{"from": {"base": "s3://base/pickle/"}}),
        "BaseModelUnsafe",
        ["pytorch_model.bin", "safetensors"],
    ),
}


@pytest.fixture(scope="module", autouse=True)
def everything(cluster: Cluster, harness: ClusterHarness) -> None:
    """All bad objects at once: they must not be in each other's way."""
    with install.store_client(cluster) as (client, _):
        for name, content in FILES.items():
            install.put(client, "data", f"bad/{name}", content)
        files = base_files()
        install.put(client, "base", "pickle/config.json", files["config.json"])
        install.put(client, "base", "pickle/tokenizer.json", files["tokenizer.json"])
        install.put(client, "base", "pickle/pytorch_model.bin", b"\x80\x04not loaded, ever")
    harness.apply(dataset("good"), *(case[0] for case in (*BAD_DATASETS.values(), *BAD_JOBS.values())))


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_bad_data(harness: ClusterHarness, name: str) -> None:
    _, reason, words = BAD_DATASETS[name]
    message = harness.wait_reason("dataset", name, reason)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", BAD_JOBS)
def test_missing_or_unsafe_input(harness: ClusterHarness, name: str) -> None:
    _, reason, words = BAD_JOBS[name]
    message = harness.wait_reason("finetunejob", name, reason)
    assert all(word in message for word in words), message


def test_a_missing_dataset_that_appears_is_taken(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("early", "late"))
    harness.wait_reason("finetunejob", "early", "DatasetNotFound", 30)
    harness.apply(dataset("late"))
    job = harness.wait("finetunejob", "early", lambda o: o.get("status", {}).get("run"), 60)
    assert len(harness.jobs_of(job["status"]["run"]["id"])) <= 1
    harness.wait_ready("finetunejob", "early", 60)


def test_a_wrong_key_is_named(harness: ClusterHarness) -> None:
    install.make_secret(
        harness.cluster,
        harness.namespace,
        "wrong-key",
        {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wrong-key-1"},
    )
    source = {"s3": {"uri": "s3://data/tiny/rows.jsonl", "secret": "wrong-key"}}
    manifest = dataset("denied")
    manifest["spec"]["source"] = source
    harness.apply(manifest)
    assert "secret" in harness.wait_reason("dataset", "denied", "StoreAccessDenied").lower()


def test_long_names(harness: ClusterHarness) -> None:
    name = ("long." + "n" * 60 + ".") * 3 + "x" * 55
    assert len(name) == 253
    harness.apply(dataset(name))
    job = finetunejob(name, name, suspend=True, model={"name": "long"})
    harness.apply(job)
    harness.wait_ready("dataset", name)
    harness.wait_reason("finetunejob", name, "Suspended")
