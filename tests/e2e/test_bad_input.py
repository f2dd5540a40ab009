"""Bad data and missing inputs in real pods: each ends with a condition that names cause, field and remedy."""

from __future__ import annotations

import pytest

from examples.demo import install
from examples.demo.cluster import Cluster
from tests.e2e.tinybase import base_files
from tests.e2e.yard import Manifest, Yard, dataset, finetunejob
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
def everything(cluster: Cluster, yard: Yard) -> None:
    """All bad objects at once: they must not be in each other's way."""
    with install.store_client(cluster) as (client, _):
        for name, content in FILES.items():
            install.put(client, "data", f"bad/{name}", content)
        files = base_files()
        install.put(client, "base", "pickle/config.json", files["config.json"])
        install.put(client, "base", "pickle/tokenizer.json", files["tokenizer.json"])
        install.put(client, "base", "pickle/pytorch_model.bin", b"\x80\x04not loaded, ever")
    yard.apply(dataset("good"), *(case[0] for case in (*BAD_DATASETS.values(), *BAD_JOBS.values())))


@pytest.mark.parametrize("name", BAD_DATASETS)
def test_bad_data(yard: Yard, name: str) -> None:
    _, reason, words = BAD_DATASETS[name]
    message = yard.wait_reason("dataset", name, reason)
    assert all(word in message for word in words), message


@pytest.mark.parametrize("name", BAD_JOBS)
def test_missing_or_unsafe_input(yard: Yard, name: str) -> None:
    _, reason, words = BAD_JOBS[name]
    message = yard.wait_reason("finetunejob", name, reason)
    assert all(word in message for word in words), message


def test_a_missing_dataset_that_appears_is_taken(yard: Yard) -> None:
    yard.apply(yard.stub("early", "late"))
    yard.wait_reason("finetunejob", "early", "DatasetNotFound", 30)
    yard.apply(dataset("late"))
    job = yard.wait("finetunejob", "early", lambda o: o.get("status", {}).get("run"), 60)
    assert len(yard.jobs_of(job["status"]["run"]["id"])) <= 1
    yard.wait_ready("finetunejob", "early", 60)


def test_a_wrong_key_is_named(yard: Yard) -> None:
    install.make_secret(
        yard.cluster,
        yard.namespace,
        "wrong-key",
        {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "wrong-key-1"},
    )
    source = {"s3": {"uri": "s3://data/tiny/rows.jsonl", "secret": "wrong-key"}}
    manifest = dataset("denied")
    manifest["spec"]["source"] = source
    yard.apply(manifest)
    assert "secret" in yard.wait_reason("dataset", "denied", "StoreAccessDenied").lower()


def test_long_names(yard: Yard) -> None:
    name = ("long." + "n" * 60 + ".") * 3 + "x" * 55
    assert len(name) == 253
    yard.apply(dataset(name))
    job = finetunejob(name, name, suspend=True, model={"name": "long"})
    yard.apply(job)
    yard.wait_ready("dataset", name)
    yard.wait_reason("finetunejob", name, "Suspended")
