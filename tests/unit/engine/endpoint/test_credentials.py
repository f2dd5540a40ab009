from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard import names
from modelyard.api.access import Access, AccessError, Place, access_of
from modelyard.engine.cache import Key
from modelyard.engine.endpoint.callers import Caller
from modelyard.engine.endpoint.credentials import Credentials
from modelyard.engine.endpoint.refusal import Refused
from modelyard.storage.errors import Unavailable
from modelyard.storage.sts import NoSts, policy
from tests.builders import Built, a_dataset
from tests.unit.engine.endpoint.harness import JOB, NAMESPACE, POD, RUN, Keysmith, a_cache, a_running_job

BUCKET = "modelyard"
OWN = f"ns/{NAMESPACE}/models/reviews/runs/{RUN}/"
RECORD = f"ns/{NAMESPACE}/bases/records/a.json"
OWNER: Key = ("FineTuneJob", NAMESPACE, "reviews")
CALLER = Caller(NAMESPACE, JOB, RUN, POD, "u", OWNER)


def preparing(source: dict[str, Any], **status: Any) -> Built:
    prefix = f"ns/{NAMESPACE}/datasets/reviews/p1/"
    return a_dataset(source=source).status(prepareId="p1", prefix=prefix, **status)


def test_a_run_writes_its_own_and_reads_what_it_is_pinned_to() -> None:
    found = access_of(a_running_job(), RUN, BUCKET)
    rows, base = Place(BUCKET, f"ns/{NAMESPACE}/datasets/reviews/1/"), Place("base", "minilm/")
    assert found == Access((Place(BUCKET, OWN),), (rows, base, Place(BUCKET, RECORD)))


SOURCES: list[tuple[dict[str, Any], tuple[Place, ...]]] = [
    ({"s3": {"uri": "s3://data/r/"}}, (Place("data", "r/"),)),
    ({"s3": {"uri": "s3://data/r.jsonl"}}, (Place("data", "r.jsonl"),)),
    ({"s3": {"uri": "s3://data/r/", "secret": "own"}}, ()),
    ({"s3": {"uri": "s3://data/r/", "endpoint": "https://elsewhere"}}, ()),
    ({"inline": [{"text": "a", "label": "b"}]}, ()),
]


@pytest.mark.parametrize(("source", "read"), SOURCES)
def test_a_preparation_writes_its_own_and_reads_its_source(source: dict[str, Any], read: tuple[Place, ...]) -> None:
    found = access_of(preparing(source), "p1", BUCKET)
    assert found == Access((Place(BUCKET, f"ns/{NAMESPACE}/datasets/reviews/p1/"),), read)


def based_on(uri: str) -> Built:
    return a_running_job().but("status.run.pinned.base.uri", uri)


NOT_NOW: dict[str, Built] = {
    "another run": a_running_job(id="5678"),
    "succeeded": a_running_job(state="Succeeded"),
    "failed": a_running_job(state="Failed"),
    "not pinned": a_running_job(pinned=None),
    "no status": a_running_job().but("status", None),
    "unreadable": a_running_job(id=[]),
    "prepared": preparing({"s3": {"uri": "s3://data/r/"}}, digest="sha256:d"),
    "another preparation": preparing({"s3": {"uri": "s3://data/r/"}}).status(prepareId="p2"),
}
FOREIGN: dict[str, Built] = {
    "another tenant's model": based_on("s3://modelyard/ns/team-b/models/m/runs/r/version/"),
    "all tenants": based_on("s3://modelyard/ns/"),
    "the whole bucket": based_on("s3://modelyard"),
    "a pattern": based_on("s3://modelyard/*/"),
    "a pattern of one": based_on("s3://modelyard/n?/team-b/"),
    "a variable": based_on("s3://modelyard/${aws:username}/"),
    "another tenant's rows": preparing({"s3": {"uri": "s3://modelyard/ns/team-b/datasets/d/1/train.jsonl"}}),
    "all tenants' rows": preparing({"s3": {"uri": "s3://modelyard/"}}),
    "a pattern of rows": preparing({"s3": {"uri": "s3://modelyard/n*"}}),
}


@pytest.mark.parametrize("name", [*NOT_NOW, *FOREIGN])
def test_who_gets_nothing(name: str) -> None:
    owner = {**NOT_NOW, **FOREIGN}[name]
    run = "p1" if owner["kind"] == "Dataset" else RUN
    with pytest.raises(AccessError) as caught:
        access_of(owner, run, BUCKET)
    assert ("under way" in str(caught.value) or "cannot be read" in str(caught.value)) == (name in NOT_NOW)


def test_the_policy_names_each_place_and_no_more() -> None:
    statements = json.loads(policy(access_of(a_running_job(), RUN, BUCKET)))["Statement"]
    write, read, *listings = statements
    assert write["Resource"] == [f"arn:aws:s3:::modelyard/{OWN}*"]
    assert read["Action"] == ["s3:GetObject"]
    assert read["Resource"] == [
        f"arn:aws:s3:::modelyard/ns/{NAMESPACE}/datasets/reviews/1/*",
        "arn:aws:s3:::base/minilm/*",
        f"arn:aws:s3:::modelyard/{RECORD}",
    ]
    assert [found["Condition"]["StringLike"]["s3:prefix"][0] for found in listings] == [
        f"{OWN}*",
        f"ns/{NAMESPACE}/datasets/reviews/1/*",
        "minilm/*",
    ]


def test_one_object_is_not_its_namesakes() -> None:
    _, read, *listings = json.loads(policy(access_of(preparing(SOURCES[1][0]), "p1", BUCKET)))["Statement"]
    assert read["Resource"] == ["arn:aws:s3:::data/r.jsonl"]
    assert len(listings) == 1


def test_a_policy_that_is_too_long_is_named() -> None:
    with pytest.raises(NoSts, match="too long"):
        policy(access_of(based_on("s3://base/" + "x" * 1000), RUN, BUCKET))


async def refused(owner: Built, fault: Exception | None = None) -> Refused:
    keysmith = Keysmith()
    keysmith.fault = fault
    with pytest.raises(Refused) as caught:
        await Credentials(a_cache(owner), keysmith, BUCKET).keys(CALLER)
    return caught.value


async def test_refusals_name_cause_and_remedy() -> None:
    gone = await refused(a_running_job(state="Failed"))
    assert (gone.status, gone.reason) == (403, names.NOT_ALLOWED)
    without = await refused(a_running_job(), NoSts("the store gives no short-lived keys"))
    assert (without.status, without.reason) == (501, "StoreWithoutSts")
    assert "spec.store.secret of TrainingProfile default" in without.message
    away = await refused(a_running_job(), Unavailable("no answer"))
    assert (away.status, away.reason) == (503, names.STORE_UNAVAILABLE)
