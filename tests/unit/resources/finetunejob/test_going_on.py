"""A job that goes on from a version: what it waits for, what is pinned, what its pods may read, what is recorded."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from modelyard import names
from modelyard.api.access import Place, access_of
from modelyard.api.run import Manifest as StoredManifest
from modelyard.api.run import format_digest
from modelyard.decision import Answer
from tests.builders import Built, a_dataset, a_finetunejob, a_profile, a_published_model, an_object, exports
from tests.unit.resources.finetunejob.harness import JobHarness

PROFILE, ROWS = a_profile(), a_dataset().prepared()
START = {"from": {"version": {"model": "reviews", "number": 3}}}
PREFIX = "ns/team-a/models/reviews/runs/run3/version/"
MANIFEST = "sha256:" + "3" * 64
FILES = [
    {"path": "config.json", "size": 10, "sha256": "1" * 64},
    {"path": "model.safetensors", "size": 90, "sha256": "2" * 64},
    {"path": "model.onnx", "size": 91, "sha256": "3" * 64},
]


def a_version(gate: str = "passed", **spec: Any) -> Built:
    """reviews-3, verified."""
    fields = {
        "model": "reviews", "number": 3, "task": "text-classification", "uri": f"s3://modelyard/{PREFIX}",
        "digest": MANIFEST, "size": 191, "metrics": [],
        "artifacts": [{**one, "digest": "sha256:" + "9" * 64} for one in exports("safetensors", "onnx")],
        "lineage": {"trained": {"run": "run3", "job": "first", "image": "trainer:1"}}, **spec,
    }  # fmt: skip
    made = an_object(names.API_VERSION, "ModelVersion", "reviews-3", fields)
    return made.condition(names.VERIFIED, "True", names.VERSION_VERIFIED).status(gate=gate)


def stored(length: int | None = 96) -> dict[str, Any]:
    """The manifest of reviews-3, as the fact `verified` gives it."""
    found = copy.deepcopy(a_published_model("run3"))
    found["manifest"]["files"] = FILES
    found["manifest"]["info"]["codec"] = {} if length is None else {"maxLength": length}
    return {**found, "digest": MANIFEST}


def harness_of(*others: Built, answer: Any = None, **spec: Any) -> JobHarness:
    """A job whose version's files lie in the store."""
    harness = JobHarness(a_finetunejob(**{**START, **spec}), *(others or (PROFILE, ROWS, a_version())))

    def verified(args: Mapping[str, str]) -> Any:
        assert args == {"prefix": PREFIX, "digest": MANIFEST}
        return stored() if answer is None else answer

    harness.facts |= {"verified": verified, "listing": unasked, "base_record": unasked}
    return harness


def unasked(args: Mapping[str, str]) -> Any:
    raise AssertionError("what a version is, its manifest says")


def test_the_version_is_pinned_by_its_content_without_a_job_that_hashes() -> None:
    harness = harness_of()
    harness.settle()
    base = harness.run["pinned"]["base"]
    content = format_digest(StoredManifest.model_validate(stored()["manifest"]).files, "safetensors")
    assert base == {
        "uri": f"s3://modelyard/{PREFIX}", "digest": content, "listing": "", "version": "reviews-3",
        "manifest": MANIFEST,
    }  # fmt: skip
    assert len(harness.named("Job")) == 1
    wanted = harness.wanted("ConfigMap")
    assert wanted is not None
    config = json.loads(wanted.manifest["data"]["run.json"])
    assert config["base"] == {
        "uri": base["uri"], "digest": content, "record": "", "version": {"name": "reviews-3", "manifest": MANIFEST}
    }  # fmt: skip
    assert (config["contract"], "scratch" in config) == (2, False)


def test_its_pods_may_read_the_versions_files() -> None:
    harness = harness_of()
    harness.settle()
    found = access_of(harness.obj, harness.run["id"], "modelyard")
    assert found.read == (Place("modelyard", ROWS["status"]["prefix"]), Place("modelyard", PREFIX))


def test_rows_are_read_as_long_as_the_version_reads_them() -> None:
    """In place of the recipe's number; what the user asks for is above both."""
    harness = harness_of()
    harness.settle()
    assert harness.run["pinned"]["input"] == {"text": {"maxLength": 96}}
    assert "input.text.maxLength" in harness.run["pinned"]["byRecipe"]
    asked = harness_of(input={"text": {"maxLength": 40}})
    asked.settle()
    assert asked.run["pinned"]["input"] == {"text": {"maxLength": 40}}
    silent = harness_of(answer=stored(None))
    silent.settle()
    assert silent.run["pinned"]["input"] == {"text": {"maxLength": 128}}


def test_another_version_or_other_content_is_another_run() -> None:
    ids = set()
    other = stored()
    other["manifest"]["files"] = [*FILES[:1], {**FILES[1], "sha256": "7" * 64}]
    for answer in (stored(), other):
        harness = harness_of(answer=answer)
        harness.settle()
        ids.add(harness.run["id"])
    based = JobHarness()
    based.settle()
    assert len({*ids, based.run["id"]}) == 3


def test_a_version_that_failed_its_gate_may_be_learned_from() -> None:
    harness = harness_of(PROFILE, ROWS, a_version(gate="failed"))
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def unverified(status: str, reason: str = names.PENDING) -> Built:
    return a_version().condition(names.VERIFIED, status, reason, "model.onnx differs")


ONLY_ONNX = a_version(artifacts=[{**one, "digest": "sha256:" + "9" * 64} for one in exports("onnx")])
WAITS: list[tuple[str, list[Built], str, bool, str]] = [
    ("none", [], names.VERSION_NOT_FOUND, True, "there is no ModelVersion reviews-3 in namespace team-a"),
    ("not yet", [unverified("Unknown")], names.VERSION_NOT_READY, False, "reviews-3 is not verified yet"),
    ("corrupt", [unverified("False", names.CORRUPT)], names.VERSION_NOT_READY, True, "ArtifactsCorrupt: model.onnx"),
    ("task", [a_version(task="translation")], names.TASK_MISMATCH, True, "reviews-3 is for translation, a model for"),
    ("onnx", [ONLY_ONNX], names.FORMAT_MISSING, True, "spec.export: [safetensors, onnx]"),
]


@pytest.mark.parametrize("case", WAITS, ids=[case[0] for case in WAITS])
def test_what_is_missing_is_named_and_waited_for(case: tuple[str, list[Built], str, bool, str]) -> None:
    _, versions, reason, stalled, words = case
    harness = harness_of(PROFILE, ROWS, *versions)
    harness.settle()
    assert (harness.reason, harness.stalled) == (reason, stalled)
    assert words in harness.message and harness.message.startswith("spec.from.version: ")
    assert harness.named("Job") == []
    harness.put(a_version())
    harness.settle()
    assert (harness.reason, len(harness.named("Job"))) == (names.WAITING_FOR_POD, 1)


@pytest.mark.parametrize(
    ("answer", "reason", "stalled"),
    [
        (Answer(reason=names.STORE_UNAVAILABLE, message="no answer"), names.STORE_UNAVAILABLE, False),
        (Answer(reason=names.SOURCE_NOT_FOUND, message="no manifest"), names.VERSION_NOT_READY, True),
        (Answer(reason=names.CORRUPT, message="another digest"), names.VERSION_NOT_READY, True),
    ],
)
def test_what_the_store_says_is_told(answer: Answer, reason: str, stalled: bool) -> None:
    harness = harness_of(answer=answer)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (reason, stalled, [])
    assert "reviews-3" in harness.message


def test_once_pinned_the_run_asks_no_more_for_the_version() -> None:
    """Its object may go; what its files are, the pins say."""
    harness = harness_of()
    harness.settle()
    made = harness.run["id"]
    harness.remove("ModelVersion")
    harness.settle()
    assert (harness.run["id"], harness.reason) == (made, names.WAITING_FOR_POD)


@pytest.mark.parametrize("task", ["token-classification", "text-classification"])
def test_texts_are_learned_from_texts(task: str) -> None:
    rows = a_dataset(task="token-classification").prepared()
    harness = harness_of(PROFILE, rows, a_version(task=task), task="token-classification")
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_the_version_that_is_made_names_its_parent() -> None:
    harness = harness_of()
    harness.settle()
    published = copy.deepcopy(a_published_model(harness.run["id"], "reviews"))
    published["manifest"]["info"] |= {"parents": ["reviews-3"], "base": harness.run["pinned"]["base"]["digest"]}
    harness.facts |= {"manifest": published, "verified": published}
    harness.pod(lambda pod: pod.exited(0))
    harness.job(lambda job: job.succeeded())
    harness.settle()
    [version] = [one for one in harness.api.all("ModelVersion") if one["metadata"]["name"] == "reviews-7"]
    trained = version["spec"]["lineage"]["trained"]
    assert trained["parents"] == ["reviews-3"]
    assert trained["base"] == harness.run["pinned"]["base"]["digest"]
