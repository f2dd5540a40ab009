from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.decision import Answer, Decision, Effect, Fact, Manifest, Observed, Ref, Select
from modelyard.resources.conditions import condition
from modelyard.resources.modelversion import RECONCILER
from modelyard.resources.modelversion.sizes import humanised
from tests.builders import an_object
from tests.builders_serving import (
    MODEL,
    NAMESPACE,
    NOW,
    PLATFORM,
    a_modeldeployment,
    a_modelversion,
    a_ready_version,
    a_stalled_version,
    deleting,
    digest_of,
    prefix_of,
    run_of,
    serving,
    stamp,
)

VERIFIED = Fact.of("verified", prefix=prefix_of(7), digest=digest_of(7), max_age=600)
CLAIMANT = Fact.of("claimant", namespace=NAMESPACE, model=MODEL, number="7", max_age=60)
ASKED_AGAIN = Fact.of("claimant", namespace=NAMESPACE, model=MODEL, number="7", max_age=2.5)
REMOVAL = Effect.of("delete_version", prefix=prefix_of(7), namespace=NAMESPACE, model=MODEL, number="7")
JOB = Ref("FineTuneJob", "reviews-job", NAMESPACE)
DEPLOYMENTS = Select("ModelDeployment", NAMESPACE, (("spec.model.name", MODEL),))
JOBS = Select("FineTuneJob", NAMESPACE, (("spec.from.version.model", MODEL), ("spec.from.version.number", "7")))
GOOD = Answer({"manifest": {}, "digest": digest_of(7), "size": 91_000_000})
MINE = Answer(run_of(7))
DOWN = Answer(reason=names.STORE_UNAVAILABLE, message="the store does not answer")
DENIED = Answer(reason=names.STORE_DENIED, message="the key is refused")
CORRUPT = Answer(reason=names.CORRUPT, message="model.onnx differs")
GONE = Answer(reason=names.SOURCE_NOT_FOUND, message="no manifest.json")


def observe(
    claim: Answer | None = MINE,
    files: Answer | None = GOOD,
    job: Manifest | None = None,
    deployments: tuple[Manifest, ...] = (),
    removed: Answer | None = None,
    learners: tuple[Manifest, ...] = (),
) -> Observed:
    facts = {CLAIMANT: claim, ASKED_AGAIN: claim, VERIFIED: files}
    return Observed(
        objects={JOB: job},
        lists={DEPLOYMENTS: deployments, JOBS: learners},
        facts={fact: answer for fact, answer in facts.items() if answer is not None},
        effects={} if removed is None else {REMOVAL: removed},
        platform=PLATFORM,
    )


def decide(obj: Manifest, observed: Observed) -> Decision:
    return RECONCILER.decide(obj, observed, NOW)


def words(decision: Decision) -> dict[str, tuple[str, str]]:
    assert decision.status is not None
    return {c["type"]: (c["status"], c["reason"]) for c in decision.status["conditions"]}


def a_job(run: str = run_of(7), observed_generation: int = 1, **gate: Any) -> Manifest:
    spec = {
        "from": {"base": "s3://base/minilm/"},
        "task": "text-classification",
        "dataset": {"ref": "reviews"},
        "evaluate": {"gate": gate},
    }
    return {
        "kind": "FineTuneJob",
        "metadata": {"name": "reviews-job", "namespace": NAMESPACE, "generation": 1},
        "spec": FineTuneJobSpec.model_validate(spec).dump(),
        "status": {"observedGeneration": observed_generation, "run": {"id": run}},
    }


STRICT: dict[str, Any] = {"require": [{"metric": "macro_f1", "min": 0.9}]}


def test_asks_for_claim_files_job_and_deployments() -> None:
    assert set(RECONCILER.needs(a_modelversion(), Observed(platform=PLATFORM))) == {
        VERIFIED,
        CLAIMANT,
        JOB,
        DEPLOYMENTS,
    }


def test_verified() -> None:
    decision = decide(a_modelversion(), observe())
    assert words(decision) == {"Ready": ("True", "Verified"), "Verified": ("True", "Verified")}
    assert decision.status is not None
    assert decision.status["metric"] == "macro_f1 0.742"
    assert decision.status["size"] == "91 MB"
    assert decision.status["gate"] == "unjudged"
    assert decision.status["deployedBy"] == []
    assert decision.finalizers == ()
    assert decision.children == ()


@pytest.mark.parametrize(
    ("claim", "files", "ready", "stalled", "verified"),
    [
        (Answer(""), GOOD, ("False", "NumberNotClaimed"), True, "False"),
        (Answer("other"), GOOD, ("False", "NumberNotClaimed"), True, "False"),
        (Answer("other"), DOWN, ("False", "NumberNotClaimed"), True, "False"),
        (MINE, CORRUPT, ("False", "ArtifactsCorrupt"), True, "False"),
        (MINE, GONE, ("False", "ArtifactsCorrupt"), True, "False"),
        (DOWN, CORRUPT, ("False", "ArtifactsCorrupt"), True, "False"),
        (DOWN, DOWN, ("False", "StoreUnavailable"), False, "Unknown"),
        (MINE, DOWN, ("False", "StoreUnavailable"), False, "Unknown"),
        (DOWN, GOOD, ("False", "StoreUnavailable"), False, "Unknown"),
        (MINE, DENIED, ("False", "StoreAccessDenied"), True, "Unknown"),
        (None, None, ("False", "Pending"), False, "Unknown"),
    ],
)
def test_never_verified_before(
    claim: Answer | None, files: Answer | None, ready: tuple[str, str], stalled: bool, verified: str
) -> None:
    decision = decide(suspect(a_modelversion()), observe(claim, files))
    found = words(decision)
    assert found["Ready"] == ready
    assert ("Stalled" in found) is stalled
    assert ("Reconciling" in found) is not stalled
    assert found["Verified"][0] == verified


def suspect(obj: Manifest) -> Manifest:
    """The store said a while ago what refutes it."""
    status = {**obj.get("status", {}), "suspectSince": stamp(NOW - timedelta(seconds=5))}
    return {**obj, "status": status}


@pytest.mark.parametrize(
    ("claim", "files"), [(MINE, GONE), (MINE, CORRUPT), (Answer(""), GOOD), (Answer("other"), GOOD)]
)
@pytest.mark.parametrize("before", [a_ready_version(), a_modelversion()])
def test_one_wrong_answer_refutes_nothing(before: Manifest, claim: Answer, files: Answer) -> None:
    first = decide(before, observe(claim, files))
    assert first.status is not None
    stands = condition(before, names.READY)
    assert words(first)["Ready"] == (("True", "Verified") if stands else ("False", "Pending"))
    assert "Stalled" not in words(first)
    assert first.status["suspectSince"] == stamp(NOW) and first.wake_after == 5
    suspect = {**before, "status": first.status}
    assert ASKED_AGAIN in set(RECONCILER.needs(suspect, observe()))
    assert "suspectSince" not in (decide(suspect, observe()).status or {}), "it was a slip"
    again = RECONCILER.decide(suspect, observe(claim, files), NOW + timedelta(seconds=5))
    assert "Stalled" in words(again) and "suspectSince" not in (again.status or {})


@pytest.mark.parametrize(("claim", "files"), [(DOWN, DOWN), (MINE, DOWN), (DOWN, GOOD), (None, None), (MINE, DENIED)])
def test_a_silent_store_changes_no_verdict(claim: Answer | None, files: Answer | None) -> None:
    for obj in (a_ready_version(), a_stalled_version()):
        before = {c["type"]: (c["status"], c["reason"]) for c in obj["status"]["conditions"]}
        after = words(decide(obj, observe(claim, files)))
        assert after == before


def test_restored_files_are_ready_again() -> None:
    assert words(decide(a_stalled_version(), observe()))["Ready"] == ("True", "Verified")


@pytest.mark.parametrize(
    "uri",
    [
        "s3://modelyard/ns/other/models/reviews/runs/run0007/version/",
        "s3://other/ns/shop/models/reviews/runs/run0007/version/",
        "s3://modelyard/ns/shop/models/reviews/runs/run0006/version/",
        "s3://modelyard/",
    ],
)
def test_a_foreign_prefix_is_refused_and_neither_read_nor_deleted(uri: str) -> None:
    obj = a_modelversion(uri=uri, deletionPolicy="delete")
    assert words(decide(obj, observe()))["Stalled"] == ("True", "InvalidSpec")
    going = deleting(obj, names.FINALIZER_ARTIFACTS)
    assert not [n for n in RECONCILER.needs(going, observe()) if isinstance(n, Fact)]
    assert decide(going, observe()).finalizers == ()


@pytest.mark.parametrize(
    ("job", "before", "after"),
    [
        (a_job(), None, "passed"),
        (a_job(**STRICT), None, "failed"),
        (a_job(**STRICT), "passed", "failed"),
        (a_job(run="another", **STRICT), "passed", "passed"),
        (a_job(run="another"), None, "unjudged"),
        (a_job(observed_generation=0, **STRICT), "passed", "passed"),
        (None, "failed", "failed"),
        (None, None, "unjudged"),
    ],
)
def test_gate(job: Manifest | None, before: str | None, after: str) -> None:
    obj = a_ready_version(gate=before or "") if before else a_modelversion()
    status = decide(obj, observe(job=job)).status
    assert status is not None
    assert status["gate"] == after


def test_gate_says_what_was_asked_and_reached() -> None:
    status = decide(a_modelversion(), observe(job=a_job(**STRICT))).status
    assert status is not None
    assert "macro_f1 0.742 is below 0.9" in status["gateMessage"]


def test_gate_keeps_its_message_when_the_job_moves_on() -> None:
    obj = a_ready_version()
    obj["status"]["gateMessage"] = "as judged"
    status = decide(obj, observe(job=a_job(run="another"))).status
    assert status is not None
    assert status["gateMessage"] == "as judged"


def test_deployed_by_names_those_with_traffic_only() -> None:
    pins, serves = a_modeldeployment(version=7, name="pins"), serving(7, name="serves")
    status = decide(a_modelversion(), observe(deployments=(pins, serves, serving(6, name="old")))).status
    assert status is not None
    assert status["deployedBy"] == ["serves"]


def test_stable() -> None:
    obj = a_modelversion()
    first = decide(obj, observe(job=a_job()))
    second = decide({**obj, "status": first.status}, observe(job=a_job()))
    assert second.status == first.status
    assert second.events == ()


def test_invalid_spec_is_named() -> None:
    obj = a_modelversion()
    obj["spec"]["number"] = "seven"
    decision = decide(obj, observe())
    assert words(decision)["Stalled"] == ("True", "InvalidSpec")
    assert decision.finalizers is None
    assert list(RECONCILER.needs(obj, observe())) == []


def doomed() -> Manifest:
    return deleting(a_modelversion(deletionPolicy="delete"), "other.dev/finalizer", names.FINALIZER_ARTIFACTS)


def test_policy_decides_about_the_finalizer() -> None:
    kept = decide(a_modelversion(deletionPolicy="delete"), observe())
    assert kept.finalizers == (names.FINALIZER_ARTIFACTS,)
    assert decide(a_modelversion(), observe()).finalizers == ()


@pytest.mark.parametrize(
    "user",
    [
        serving(7),
        serving(6, candidate=7),
        serving(8, draining=7),
        serving(8, shadow=7),
        a_modeldeployment(version=7),
        a_modeldeployment(),
    ],
)
def test_deletion_waits_for_those_who_use_it(user: Manifest) -> None:
    observed = observe(deployments=(user,))
    assert not decide(doomed(), observed).effects
    decision = decide(doomed(), observed)
    assert decision.finalizers is None
    assert words(decision)["Ready"] == ("False", "InUse")
    found = condition({"status": decision.status}, names.READY)
    assert found is not None
    assert "reviews" in found["message"]


def a_learner(state: str | None, seen: int = 1, generation: int = 1) -> Manifest:
    """A FineTuneJob that goes on from the version."""
    run = {} if state is None else {"run": {"id": "r", "state": state}}
    made = an_object(names.API_VERSION, "FineTuneJob", "again", {"from": {"version": {"model": MODEL, "number": 7}}})
    return made.generation(generation).status(observedGeneration=seen, **run)


@pytest.mark.parametrize(
    "learner", [a_learner(None, -1), a_learner(None), a_learner("Running"), a_learner("Failed", 1, generation=2)]
)
def test_deletion_waits_for_those_who_have_yet_to_learn_from_it(learner: Manifest) -> None:
    decision = decide(doomed(), observe(learners=(learner,)))
    assert (decision.effects, decision.finalizers) == ((), None)
    found = condition({"status": decision.status}, names.READY)
    assert found is not None and found["reason"] == names.IN_USE
    assert "FineTuneJob again goes on from version 7; let its run end, or delete it" in found["message"]


@pytest.mark.parametrize("state", ["Succeeded", "Failed"])
def test_a_run_that_has_ended_holds_no_version(state: str) -> None:
    assert decide(doomed(), observe(learners=(a_learner(state),))).effects == (REMOVAL,)


def test_nothing_is_removed_before_those_who_learn_are_known() -> None:
    observed = observe()
    unknown = replace(observed, lists={DEPLOYMENTS: ()})
    assert decide(doomed(), unknown).effects == ()
    assert JOBS in list(RECONCILER.needs(doomed(), observed))


def test_deletion_removes_the_artifacts_then_lets_go() -> None:
    assert decide(doomed(), observe(deployments=(serving(6),))).effects == (REMOVAL,)
    waiting = decide(doomed(), observe())
    assert waiting.finalizers is None
    assert words(waiting)["Ready"] == ("False", "Deleting")
    assert decide(doomed(), observe(removed=DOWN)).finalizers is None
    assert decide(doomed(), observe(removed=Answer(True))).finalizers == ()


def test_deletion_waits_for_a_store_that_is_down() -> None:
    observed = observe(claim=DOWN)
    assert not decide(doomed(), observed).effects
    decision = decide(doomed(), observed)
    assert decision.finalizers is None
    found = condition({"status": decision.status}, names.READY)
    assert found is not None
    assert "does not answer" in found["message"]


def test_a_forged_version_takes_no_artifacts_with_it() -> None:
    observed = observe(claim=Answer("other"))
    assert not decide(doomed(), observed).effects
    assert decide(doomed(), observed).finalizers == ()


def test_nothing_is_removed_before_the_deployments_are_known() -> None:
    unknown = Observed(facts={CLAIMANT: MINE}, platform=PLATFORM)
    assert not decide(doomed(), unknown).effects


def test_retain_lets_go_at_once() -> None:
    going = deleting(a_modelversion(), names.FINALIZER_ARTIFACTS)
    assert not decide(going, observe()).effects
    assert decide(going, observe(deployments=(serving(7),))).finalizers == ()


def test_deletion_without_our_finalizer_is_not_ours() -> None:
    going = deleting(a_modelversion(deletionPolicy="delete"), "other.dev/finalizer")
    assert decide(going, observe()) == Decision()


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (91_000_000, "91 MB"),
        (999_600_000, "1.0 GB"),
        (1_234_000_000, "1.2 GB"),
        (9_960_000_000, "10 GB"),
        (3 * 10**18, "3000 PB"),
    ],
)
def test_humanised(size: int, text: str) -> None:
    assert humanised(size) == text


def test_a_version_that_no_run_made_is_said_to_be_unknown_here() -> None:
    obj = a_modelversion(lineage={})
    assert JOB not in tuple(RECONCILER.needs(obj, observe()))
    ready = decide(obj, observe()).status or {}
    (found,) = (c for c in ready["conditions"] if c["type"] == names.READY)
    assert (found["status"], found["reason"]) == ("False", names.INVALID_SPEC)
    assert "spec.lineage has no `trained`" in found["message"]
