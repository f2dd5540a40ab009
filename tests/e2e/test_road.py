"""The whole road on a real kubelet: data, training, gate, version, prediction; and what a second apply does."""

from __future__ import annotations

from examples.demo import install, report
from examples.demo.follow import is_current, ready_condition
from modelyard import names
from modelyard.api import layout
from modelyard.api.base_record import BaseRecord
from tests.e2e.harness import ClusterHarness, Manifest, dataset, deployment, finetunejob
from tests.served import number_in
from tests.trainer.words import json_lines, rows

TEXTS = ["thing1 superb lovely the day", "the awful broken place thing2", "usual thing3 common it was"]
LABELS = ["good", "bad", "plain"]
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
IN_ORDER = True


def test_the_road(harness: ClusterHarness) -> None:
    harness.apply(dataset("rows"), finetunejob("tiny", "rows"), deployment("tiny", "tiny"))
    prepared = harness.wait_ready("dataset", "rows")
    assert prepared["status"]["rows"]["train"] > 600
    job = harness.wait_ready("finetunejob", "tiny")
    assert job["status"]["version"] == "tiny-1"
    _base_was_read_once(harness, job)
    version = harness.wait_ready("modelversion", "tiny-1")
    assert version["status"]["gate"] == "passed"
    assert version["spec"]["metrics"][0]["values"]["macro_f1"] > 0.6  # always-majority is below 0.2 here
    told = report.run_report(harness.cluster, version)
    assert told["baselines"], "what `make demo` shows at the end"
    report.show_quality(version, told)
    formats = {found["format"]: found for found in version["spec"]["artifacts"]}
    assert formats["onnx"]["difference"] < 0.001
    assert formats["onnx"]["digest"] != formats["safetensors"]["digest"]
    _wait_serving(harness, "tiny", 1)
    answer = harness.predict("tiny", "tiny", TEXTS)
    assert [found["label"] for found in answer["predictions"]] == LABELS
    assert str(answer["version"]) == "1"
    wide = harness.predict("tiny", "tiny", [text.translate(FULL_WIDTH) for text in TEXTS])
    assert wide["predictions"] == answer["predictions"], "the rows were cleaned, so is the text of a request"


def _base_was_read_once(harness: ClusterHarness, job: Manifest) -> None:
    """By a pod of its own, before the run had an id; what it learned is the lineage of the version."""
    base = job["status"]["run"]["pinned"]["base"]
    record = harness.stored_json(layout.base_record_key(harness.namespace, base["listing"]))
    assert BaseRecord.model_validate(record).digest == base["digest"]
    assert not harness.jobs_of(names.hash_job(base["listing"])), "it goes when the record stands"


def test_the_story_is_short(harness: ClusterHarness) -> None:
    for kind, name in (("FineTuneJob", "tiny"), ("Dataset", "rows"), ("ModelDeployment", "tiny")):
        story = harness.list_events(kind, name)
        assert 1 <= len(story) <= 12, story


def test_columns(harness: ClusterHarness) -> None:
    table = harness.kube("get", "finetunejob", "tiny")
    assert table.split("\n")[0].split() == ["NAME", "PHASE", "PROGRESS", "ETA", "LOSS", "METRIC", "VERSION", "AGE"]
    assert "tiny-1" in table and "macro_f1" in table
    assert "STAGE" in harness.kube("get", "finetunejob", "tiny", "-o", "wide").split("\n")[0].split()
    assert "modelversion.modelyard.dev/tiny-1" in harness.kube("get", "modelyard")


def test_the_same_again_trains_nothing(harness: ClusterHarness) -> None:
    before = harness.get("finetunejob", "tiny") or {}
    harness.apply(finetunejob("tiny", "rows"))
    after = harness.wait("finetunejob", "tiny", is_current)
    assert after["status"]["run"] == before["status"]["run"]
    assert len(harness.list_all("modelversions")) == 1


def test_deleted_and_applied_again_is_adopted(harness: ClusterHarness) -> None:
    run = (harness.get("finetunejob", "tiny") or {})["status"]["run"]["id"]
    harness.delete("finetunejob", "tiny")
    harness.apply(finetunejob("tiny", "rows"))
    job = harness.wait_ready("finetunejob", "tiny", 60)
    assert job["status"]["run"]["id"] == run and job["status"]["run"]["adopted"] is True
    assert job["status"]["version"] == "tiny-1"
    assert not harness.jobs_of(run)


def test_a_change_makes_the_next_version_and_a_pin_the_old_one(harness: ClusterHarness) -> None:
    harness.apply(harness.stub("tiny"))
    harness.wait("finetunejob", "tiny", lambda o: o["status"].get("version") == "tiny-2")
    _wait_serving(harness, "tiny", 2)
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "2"
    harness.apply(deployment("tiny", "tiny", version=1))
    _wait_serving(harness, "tiny", 1)
    assert str(harness.predict("tiny", "tiny", TEXTS)["version"]) == "1"


def test_a_version_goes_on_with_more_rows_and_is_in_use_until_then(harness: ClusterHarness) -> None:
    """tiny-1, served, is gone on from: with other rows and one class more; asked to go meanwhile, it goes after."""
    with install.store_client(harness.cluster) as (client, _):
        more = [{**row, "label": "dull"} if "dull" in row["text"] else row for row in rows(900, seed=1)]
        install.put(client, "data", "tiny/more.jsonl", json_lines(more))
    start = {"version": {"model": "tiny", "number": 1}}
    job = finetunejob("tiny-more", "more", model={"name": "tiny"}, suspend=True, **{"from": start})
    harness.apply(dataset("more", "s3://data/tiny/more.jsonl"), job)
    harness.wait_reason("finetunejob", "tiny-more", names.SUSPENDED)
    parent = harness.get("modelversion", "tiny-1") or {}
    harness.patch("modelversion", "tiny-1", {"deletionPolicy": "delete"})
    harness.wait("modelversion", "tiny-1", lambda o: names.FINALIZER_ARTIFACTS in o["metadata"].get("finalizers", []))
    harness.apply(deployment("tiny", "tiny", version=2))
    _wait_serving(harness, "tiny", 2)
    harness.kube("delete", "modelversion", "tiny-1", "--wait=false")
    told = harness.wait("modelversion", "tiny-1", lambda o: "tiny-more goes on from" in str(ready_condition(o)), 120)
    assert ready_condition(told)["reason"] == names.IN_USE
    harness.patch("finetunejob", "tiny-more", {"suspend": False})
    run = harness.wait_ready("finetunejob", "tiny-more")["status"]["run"]
    assert (
        run["pinned"]["base"]["version"] == "tiny-1" and run["pinned"]["base"]["manifest"] == parent["spec"]["digest"]
    )
    assert run["pinned"]["input"]["text"]["maxLength"] == 32
    assert "tiny-1" in harness.kube("get", "modelversion", "tiny-3", "-o", "wide")
    made = harness.wait_ready("modelversion", "tiny-3")["spec"]
    assert made["lineage"]["trained"]["parents"] == ["tiny-1"]
    assert set(made["metrics"][0]["perClass"]) == {"bad", "dull", "good", "plain"}
    harness.apply(deployment("tiny", "tiny", version=3))
    _wait_serving(harness, "tiny", 3)
    answers = harness.predict("tiny", "tiny", TEXTS)["predictions"]
    assert [found["label"] for found in answers] == LABELS
    assert set(answers[0]["scores"]) == {"bad", "dull", "good", "plain"}
    harness.kube("wait", "--for=delete", "modelversion/tiny-1", "--timeout=60s")
    assert not harness.stored_keys(layout.split_uri(parent["spec"]["uri"])[1])


def _wait_serving(harness: ClusterHarness, name: str, number: int) -> Manifest:
    return harness.wait("modeldeployment", name, lambda o: is_current(o) and number_in(o) == number, 180)
