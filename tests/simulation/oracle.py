"""What must stand at the end of a scenario, told from what the fakes know and not from the reconcilers."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Manifest
from tests.served import number_in
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_store import BUCKET
from tests.simulation.results import record_of
from tests.simulation.schema import OURS
from tests.simulation.serving_oracle import wrong_deployments

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario

MAY_WAIT = {names.WAITING_FOR_VERSION, names.IN_USE}
"""Reasons that may stay Reconciling for ever: the user has not made what is waited for."""


def wrong(scenario: Scenario) -> Iterator[str]:
    """Every difference between what is and what should be."""
    for kind in OURS:
        for obj in scenario.api.all(kind):
            yield from (f"{kind} {obj['metadata']['name']}: {line}" for line in _decided(scenario, obj))
    for obj in scenario.api.all("Dataset"):
        yield from _dataset(scenario, obj)
    for obj in scenario.api.all("FineTuneJob"):
        yield from _job(scenario, obj)
    for obj in scenario.api.all("ModelVersion"):
        yield from _version(scenario, obj)
    yield from wrong_deployments(scenario)
    yield from _orphans(scenario)


def summary(api: FakeApi) -> str:
    """All objects of ours in a few words."""
    lines = []
    for kind in OURS:
        for obj in api.all(kind):
            found = ready(obj)
            lines.append(f"{kind} {obj['metadata']['name']}: {found.get('status')} {found.get('reason')}")
    return "; ".join(lines)


def ready(obj: Manifest) -> dict[str, Any]:
    """The Ready condition."""
    return condition(obj, names.READY)


def condition(obj: Manifest, type_: str) -> dict[str, Any]:
    """A condition, empty if it is not there."""
    found = obj.get("status", {}).get("conditions", ())
    return next((c for c in found if c["type"] == type_), {})


def _decided(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    """Ready is there, about this generation, and whoever is not Ready says what it is waiting for."""
    found, status = ready(obj), obj.get("status", {})
    if not found or status.get("observedGeneration") != obj["metadata"]["generation"]:
        yield f"status is not about this generation: {status}"
        return
    moving = condition(obj, names.RECONCILING)
    if moving and moving["reason"] not in MAY_WAIT and not _crashes(scenario, obj) and not _shares_a_run(obj):
        yield f"still {moving['reason']}: {moving['message']}"
    stalled = condition(obj, names.STALLED)
    if found["status"] == "False" and not (moving or stalled) and found["reason"] != names.SUSPENDED:
        yield f"neither Ready nor Stalled: {found}"


def _crashes(scenario: Scenario, obj: Manifest) -> bool:
    """A whole version that serves already may crash for ever: its kubelet goes on trying."""
    serving, model = number_in(obj), obj["spec"].get("model", {}).get("name")
    version = scenario.api.look("ModelVersion", obj["metadata"].get("namespace", ""), f"{model}-{serving}")
    whole = serving is not None and (version is None or not condition(version, names.STALLED))
    return whole and condition(obj, names.RECONCILING).get("reason") == names.LOAD_FAILED


def _shares_a_run(obj: Manifest) -> bool:
    return "is already running run" in ready(obj).get("message", "")


def _dataset(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    status, name = obj["status"], obj["metadata"]["name"]
    reason, held = ready(obj)["reason"], scenario.store.published(status.get("prefix") or "-/") is not None
    ends = scenario.kubelet.reasons(status.get("prepareId") or "")
    if ready(obj)["status"] == "True" and not held:
        yield f"Dataset {name} is Ready, but nothing is published"
    ends |= _unseen(ready(obj))
    if held and ready(obj)["status"] != "True" and reason not in ends:
        yield f"Dataset {name} has rows in the store, but says {reason}; its pods ended with {ends}"
    yield from _repeats(scenario, status.get("prepareId") or "", ready(obj))
    if not held and ready(obj)["status"] == "False" and reason not in ends:
        yield f"Dataset {name} says {reason}, its pods ended with {ends}"


def _job(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    run, name = obj["status"].get("run"), obj["metadata"]["name"]
    if run is None:
        yield from _job_without_run(scenario, obj)
    elif run["state"] == "Succeeded":
        yield from _succeeded(scenario, obj, run)
    elif run["state"] == "Failed":
        ends = scenario.kubelet.reasons(run["id"])
        if run["failure"]["reason"] not in {*ends, *_later_harm(scenario), *_unseen(run["failure"])}:
            yield f"FineTuneJob {name} failed with {run['failure']}, its pods ended with {ends}"
        yield from _repeats(scenario, run["id"], run["failure"])
    elif not obj["spec"].get("suspend") and not _waits_for_shared_run(scenario, obj, run):
        yield f"FineTuneJob {name} is still {run['state']}: {ready(obj)}"


def _repeats(scenario: Scenario, run: str, failure: dict[str, Any]) -> Iterator[str]:
    """What is told to have failed twice in the same way did so."""
    deaths = scenario.kubelet.deaths.get(run, [])
    if "twice in a row" in failure["message"] and not any(map(operator.eq, deaths, deaths[1:])):
        yield f"run {run} failed with {failure}, its pods ended with {deaths}"


def _unseen(failure: dict[str, Any]) -> set[str]:
    """The pods were gone before the operator saw them: only the Job's own words are left."""
    return {names.TRAINER_FAILED} if "backoff limit" in failure["message"] else set()


def _later_harm(scenario: Scenario) -> set[str]:
    """A version that was corrupted before its job looked at it."""
    return {names.CORRUPT, names.TRAINER_FAILED} if scenario.user.harmed else set()


def _waits_for_shared_run(scenario: Scenario, obj: Manifest, run: dict[str, Any]) -> bool:
    """Another object's Job makes this run, and it is suspended."""
    jobs = [job for job in scenario.api.all("Job") if job["metadata"]["labels"].get(names.LABEL_RUN) == run["id"]]
    owners = {ref["uid"] for job in jobs for ref in job["metadata"]["ownerReferences"]}
    return bool(owners) and obj["metadata"]["uid"] not in owners


def _job_without_run(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    found, name = ready(obj), obj["metadata"]["name"]
    dataset = scenario.api.look("Dataset", obj["metadata"]["namespace"], obj["spec"]["dataset"].get("ref", ""))
    inline = "inline" in obj["spec"]["dataset"]
    expected = names.DATASET_NOT_FOUND if dataset is None and not inline else names.DATASET_FAILED
    unread = {*scenario.kubelet.reasons(_reading_of(scenario, obj)), *_unseen(found)}
    if found.get("reason") not in (expected, names.SUSPENDED, *unread):
        yield f"FineTuneJob {name} has no run and says {found['reason']}, expected {expected}"


def _reading_of(scenario: Scenario, obj: Manifest) -> str:
    """The Job that reads the job's base as it lies there now: it may fail, and is made again later and later."""
    return names.hash_job(record_of(scenario.store, obj["spec"]["from"]["base"]).listing)


def _succeeded(scenario: Scenario, obj: Manifest, run: dict[str, Any]) -> Iterator[str]:
    name, version = obj["metadata"]["name"], obj["status"].get("version")
    found = scenario.api.look("ModelVersion", obj["metadata"]["namespace"], version or "")
    if found is None and version not in scenario.user.deleted_versions:
        yield f"FineTuneJob {name} made {version}, which is not there"
    if (
        found is not None
        and found["spec"]["lineage"]["trained"]["run"] != run["id"]
        and not scenario.user.deleted_versions
    ):
        yield f"FineTuneJob {name} says {version}, which is of another run"
    if found is not None and _reached(obj, found) != obj["status"].get("gate"):
        yield f"FineTuneJob {name}: gate is {obj['status'].get('gate')}"


def _reached(job: Manifest, version: Manifest) -> str:
    asked = job["spec"]["evaluate"]["gate"]["require"]
    reached = version["spec"]["metrics"][0]["values"]["macro_f1"]
    return "passed" if all(reached >= requirement["min"] for requirement in asked) else "failed"


def _version(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    spec, name, namespace = obj["spec"], obj["metadata"]["name"], obj["metadata"]["namespace"]
    if "deletionTimestamp" in obj["metadata"]:
        if ready(obj)["reason"] != names.IN_USE:
            yield f"ModelVersion {name} waits to be deleted: {ready(obj)}"
        return
    yield from _gate(scenario, obj)
    prefix = layout.version_prefix(layout.run_prefix(namespace, spec["model"], spec["lineage"]["trained"]["run"]))
    intact = scenario.store.intact(prefix, spec["digest"])
    if (ready(obj)["status"] == "True") != intact:
        yield f"ModelVersion {name} says {ready(obj)['reason']}, but intact is {intact}"
    if scenario.store.stat(BUCKET, layout.number_key(namespace, spec["model"], spec["number"])) is None:
        yield f"ModelVersion {name} has a number that nobody claimed"


def _gate(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    """The verdict is what the job asks now, while the job is still about this run."""
    lineage = obj["spec"]["lineage"]["trained"]
    job = scenario.api.look("FineTuneJob", obj["metadata"]["namespace"], lineage["job"])
    if job is None or (job["status"].get("run") or {}).get("id") != lineage["run"]:
        return
    if obj["status"].get("gate") != _reached(job, obj):
        yield f"ModelVersion {obj['metadata']['name']}: gate is {obj['status'].get('gate')}"


def _orphans(scenario: Scenario) -> Iterator[str]:
    """Children whose owner is gone, and Jobs of runs that nobody asks for any more."""
    uids = {obj["metadata"]["uid"] for obj in scenario.api.everything()}
    for obj in scenario.api.everything():
        owners = [ref["uid"] for ref in obj["metadata"].get("ownerReferences", ())]
        if owners and not uids & set(owners):
            yield f"{obj['kind']} {obj['metadata']['name']} is left without owner"
    for job in scenario.api.all("Job"):
        if any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())):
            continue
        if not job["spec"].get("suspend"):
            yield f"Job {job['metadata']['name']} is still at work"
