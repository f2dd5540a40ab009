from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard import names
from modelyard.decision import Fact, Manifest, Ref, Select
from modelyard.engine.cache import BY_NAME, Cache, ReverseIndex, matches
from modelyard.engine.slim import CHILD_KINDS, KSERVE_KINDS

JOB = ("FineTuneJob", "team", "reviews")


def obj(kind: str = "Dataset", name: str = "d", version: int = 1, **more: Any) -> Manifest:
    meta: Manifest = {"name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": str(version)}
    meta.update(more.pop("meta", {}))
    return {"kind": kind, "metadata": meta, **more}


def child(name: str, version: int = 1, owner: str = "u1", kind: str = "Job", **more: Any) -> Manifest:
    marks = {"labels": {names.LABEL_KIND: "finetunejob"}, "annotations": {names.ANNOTATION_OWNER: "reviews"}}
    group = "batch/v1" if kind == "Pod" else names.API_VERSION
    owners = [{"apiVersion": group, "uid": owner, "controller": True}]
    return obj(kind, name, version, meta={"ownerReferences": owners, **marks}, **more)


def test_the_newer_of_two_is_kept() -> None:
    cache = Cache()
    assert cache.put(obj(version=2, status={"phase": "new"}))
    assert not cache.put(obj(version=1, status={"phase": "old"}))
    assert not cache.put(obj(version=2, status={"phase": "same"}))
    found = cache.get("Dataset", "team", "d")
    assert found is not None and found["status"] == {"phase": "new"}


def test_versions_are_compared_as_numbers() -> None:
    cache = Cache()
    cache.put(obj(version=9))
    assert cache.put(obj(version=10))


def test_children_and_pods_are_found_by_owner_until_they_go() -> None:
    cache = Cache()
    for made in (child("b"), child("a"), child("p", kind="Pod"), child("x", owner="u2")):
        cache.put(made)
    assert [c["metadata"]["name"] for c in cache.children("u1", "team")] == ["a", "b", "p"]
    assert [p["metadata"]["name"] for p in cache.pods(JOB)] == ["p"]
    for ended in (child("a"), child("b"), child("p", kind="Pod"), child("never-seen")):
        cache.end(ended)
    assert cache.children("u1", "team") == () and cache.pods(JOB) == ()


def test_a_child_that_changed_its_owner_is_no_longer_the_first_ones() -> None:
    cache = Cache()
    cache.put(child("a", version=1, owner="u1"))
    cache.put(child("a", version=2, owner="u2"))
    assert cache.children("u1", "team") == ()
    assert len(cache.children("u2", "team")) == 1


def test_an_object_of_another_namespace_is_nobodys_child() -> None:
    cache = Cache()
    cache.put(child("a"))
    stranger = child("b")
    stranger["metadata"]["namespace"] = "elsewhere"
    cache.put(stranger)
    assert [c["metadata"]["name"] for c in cache.children("u1", "team")] == ["a"]


def test_the_end_of_a_namesake_before_changes_nothing() -> None:
    cache = Cache()
    cache.put(obj(version=5))
    cache.end(obj(version=9, meta={"uid": "uid-of-a-namesake-before"}))
    assert cache.get("Dataset", "team", "d") is not None


def test_late_news_of_what_has_ended_do_not_bring_it_back() -> None:
    cache = Cache()
    cache.put(obj(version=5))
    cache.end(obj(version=7))
    assert not cache.put(obj(version=6))
    assert cache.get("Dataset", "team", "d") is None
    assert cache.put(obj(version=6, meta={"uid": "uid-of-a-namesake-after"}))


def test_what_only_left_the_watch_may_come_back() -> None:
    cache = Cache()
    cache.put(obj(version=5))
    cache.end(obj(version=7))
    assert cache.put(obj(version=8))


MATCHES: list[tuple[tuple[tuple[str, str], ...], bool]] = [
    ((), True),
    ((("team", "blue"),), True),
    ((("team", "red"),), False),
    ((("other", "blue"),), False),
    ((("spec.model.name", "alpha"),), True),
    ((("spec.model.name", "beta"),), False),
    ((("spec.model.name.deeper", "alpha"),), False),
    ((("team", "blue"), ("spec.model.name", "beta")), False),
    ((("spec.number", "7"),), True),
]


@pytest.mark.parametrize(("where", "match"), MATCHES)
def test_selection_by_labels_and_paths(where: tuple[tuple[str, str], ...], match: bool) -> None:
    found = obj(meta={"labels": {"team": "blue"}}, spec={"model": {"name": "alpha"}, "number": 7})
    assert matches(found, Select("Dataset", "team", where)) is match


def test_selected_objects_come_in_name_order_from_one_namespace() -> None:
    cache = Cache()
    for name in ("c", "a", "b"):
        cache.put(obj(name=name))
    cache.put(obj(name="z", meta={"namespace": "elsewhere"}))
    assert [o["metadata"]["name"] for o in cache.select(Select("Dataset", "team"))] == ["a", "b", "c"]


def test_those_who_asked_by_name_or_selection_are_woken() -> None:
    index = ReverseIndex()
    index.remember(JOB, [Ref("Dataset", "d", "team"), Fact.of("number")])
    index.remember(("ModelDeployment", "team", "s"), [Select("Dataset", "team", (("team", "blue"),))])
    assert set(index.askers(obj())) == {JOB}
    blue = obj(name="other", meta={"labels": {"team": "blue"}})
    assert set(index.askers(blue)) == {("ModelDeployment", "team", "s")}


def test_what_is_no_longer_asked_wakes_nobody() -> None:
    index = ReverseIndex()
    index.remember(JOB, [Ref("Dataset", "d", "team"), Select("Dataset", "team")])
    index.remember(JOB, [Ref("Dataset", "e", "team")])
    assert list(index.askers(obj())) == []
    index.forget(JOB)
    assert list(index.askers(obj(name="e"))) == []
    assert not (index._needs or index._askers or any(index._selects.values()))


CHILD_OF_NOBODY = [kind for kind in (*CHILD_KINDS, *KSERVE_KINDS) if kind not in BY_NAME]


@pytest.mark.parametrize("kind", [*CHILD_KINDS, *KSERVE_KINDS])
def test_whoever_only_copies_labels_is_not_kept(kind: str) -> None:
    cache = Cache()
    made = child("a", kind=kind)
    del made["metadata"]["ownerReferences"][0]["controller"]
    assert not cache.put(made)
    foreign = child("b", kind=kind)
    foreign["metadata"]["ownerReferences"][0]["apiVersion"] = "example.com/v1"
    assert not cache.put(foreign)
    assert cache.keys(kind) == []


@pytest.mark.parametrize("kind", CHILD_OF_NOBODY)
def test_a_child_is_kept_once_its_owner_is_known(kind: str) -> None:
    cache = Cache()
    assert not cache.put(child("a", kind=kind, spec={"x": 1}))
    cache.put(obj("ModelDeployment", "reviews", meta={"uid": "u1"}))
    assert cache.put(child("a", kind=kind, spec={"x": 1}))
    assert len(cache.children("u1", "team")) == 1


@pytest.mark.parametrize("kind", BY_NAME)
def test_what_an_owner_that_is_gone_left_is_kept(kind: str) -> None:
    cache = Cache()
    assert cache.put(child("a", kind=kind))


def test_a_child_that_is_let_go_is_forgotten_and_wakes() -> None:
    cache = Cache()
    cache.put(child("a"))
    free = child("a", 2)
    free["metadata"]["ownerReferences"] = []
    assert cache.put(free)
    assert cache.get("Job", "team", "a") is None and cache.children("u1", "team") == ()


def weight(kind: str) -> Manifest:
    """A child with weight wherever a tenant can put it."""
    env = [{"name": f"N{number}", "value": "x" * 1000} for number in range(500)]
    template = {"containers": [{"name": "x", "env": env}] * 100}
    made = child("heavy", kind=kind, spec={**template, "template": {"spec": template}}, data={"rows": "x" * 700_000})
    made["binaryData"] = {"more": "eA=="}
    meta = made["metadata"]
    meta["managedFields"] = [{"fieldsV1": {f"f:{number}": {} for number in range(1000)}}]
    meta["annotations"] |= {f"example.com/{number}": "x" * 200 for number in range(1000)}
    meta["labels"] |= {f"{names.GROUP}/{number}": "x" for number in range(1000)}
    meta["finalizers"] = [f"example.com/{number}" for number in range(1000)]
    meta["ownerReferences"] += [{"uid": str(number), "name": "x" * 200} for number in range(1000)]
    return made


@pytest.mark.parametrize("kind", [*CHILD_KINDS, *KSERVE_KINDS])
def test_no_weight_of_a_tenants_is_kept(kind: str) -> None:
    cache = Cache()
    cache.put(obj("ModelDeployment", "reviews", meta={"uid": "u1"}))
    cache.put(weight(kind))
    known = cache.get(kind, "team", "heavy")
    if kind in ("Deployment", "Service", "InferenceService"):
        assert known is None, "heavier than any that we make"
    else:
        assert len(json.dumps(known)) < 3000


def test_annotations_of_users_objects_are_not_kept() -> None:
    cache = Cache()
    notes = {"a": "x" * 1000, names.ANNOTATION_OWNER: "reviews", names.ANNOTATION_INPUTS: "x" * 1000}
    cache.put(obj(meta={"annotations": notes}, apiVersion=names.API_VERSION))
    known = cache.get("Dataset", "team", "d")
    assert known is not None and known["metadata"]["annotations"] == {names.ANNOTATION_OWNER: "reviews"}
