from __future__ import annotations

from typing import Any

import pytest

from modelyard import names
from modelyard.engine.endpoint.callers import Caller, Callers, identity_of
from modelyard.engine.endpoint.refusal import Refused
from tests.builders import Built, an_object
from tests.unit.engine.endpoint.harness import JOB, NAMESPACE, POD, RUN, Reviewer, a_cache, callers

AUDIENCE = names.audience(JOB, names.PROGRESS)


async def refused(found: Callers, header: str, namespace: str = NAMESPACE, job: str = JOB) -> Refused:
    with pytest.raises(Refused) as caught:
        await found.identify(header, namespace, job, names.PROGRESS)
    return caught.value


async def test_a_pod_of_the_run_is_known() -> None:
    reviewer = Reviewer()
    caller = await callers(reviewer).identify(reviewer.knows("t"), NAMESPACE, JOB, names.PROGRESS)
    assert caller == Caller(NAMESPACE, JOB, RUN, POD, f"uid-pod-{POD}", ("FineTuneJob", NAMESPACE, "reviews"))


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer forged", "Basic bWU6bWU=", "x" * 9000])
async def test_a_token_that_nobody_vouches_for(header: str) -> None:
    assert (await refused(callers(Reviewer()), header)).status == 401


async def test_a_token_for_another_purpose_or_another_job() -> None:
    reviewer = Reviewer()
    found = callers(reviewer)
    assert (await refused(found, reviewer.knows("c", purpose=names.CREDENTIALS))).status == 401
    assert (await refused(found, reviewer.knows("t"), job="reviews-5678")).status == 401


async def test_another_tenants_pod() -> None:
    reviewer = Reviewer()
    refusal = await refused(callers(reviewer), reviewer.knows("t", namespace="team-b"))
    assert refusal.status == 403 and "team-b" in refusal.message


def of(uid: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "batch/v1", "kind": "Job", "name": JOB, "uid": uid, "controller": True}]


def a_pod(name: str = POD, **meta: Any) -> Built:
    pod = an_object("v1", "Pod", name, {}).status(phase="Running")
    for field, value in meta.items():
        pod = pod.but(f"metadata.{field}", value)
    return pod


STRANGERS = {
    "another uid": (a_pod(uid="uid-of-a-namesake"), "uid"),
    "of no Job": (a_pod(), "there is no pod"),
    "of another Job": (a_pod(ownerReferences=of("uid-job-other")), "not one of Job"),
    "ended": (a_pod(ownerReferences=of("uid-job-other")).status(phase="Succeeded"), "has ended"),
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_a_pod_that_is_not_the_runs(name: str) -> None:
    pod, told = STRANGERS[name]
    reviewer = Reviewer()
    refusal = await refused(callers(reviewer, pod), reviewer.knows("t"))
    assert refusal.status == 403 and told in refusal.message


async def test_a_pod_that_nobody_has_seen() -> None:
    reviewer = Reviewer()
    assert (await refused(callers(reviewer), reviewer.knows("t", pod="other"))).status == 403


async def test_a_job_that_is_not_ours_costs_no_review() -> None:
    reviewer = Reviewer()
    job = an_object("batch/v1", "Job", JOB, {}).owned_by(an_object("apps/v1", "Deployment", "d", {}))
    assert (await refused(callers(reviewer, job), reviewer.knows("t"))).status == 401
    assert reviewer.asked == []


async def test_reviews_are_remembered_but_pods_are_not() -> None:
    reviewer, now, cache = Reviewer(), [0.0], a_cache()
    found = Callers(reviewer, cache, lambda: now[0])
    header = reviewer.knows("t")
    for _ in range(3):
        await found.identify(header, NAMESPACE, JOB, names.PROGRESS)
    assert reviewer.asked == ["t"]
    now[0] = 61.0
    await found.identify(header, NAMESPACE, JOB, names.PROGRESS)
    assert reviewer.asked == ["t", "t"]
    pod = cache.get("Pod", NAMESPACE, POD)
    assert pod is not None
    cache.end(pod)
    assert (await refused(found, header)).status == 403


async def test_an_api_server_that_is_away_is_not_a_forged_token() -> None:
    reviewer = Reviewer()
    header, reviewer.down = reviewer.knows("t"), True
    found = callers(reviewer)
    assert (await refused(found, header)).status == 503
    reviewer.down = False
    assert await found.identify(header, NAMESPACE, JOB, names.PROGRESS)


GENUINE: dict[str, Any] = {
    "authenticated": True,
    "audiences": [AUDIENCE],
    "user": {
        "username": "system:serviceaccount:team-a:default",
        "extra": {
            "authentication.kubernetes.io/pod-name": [POD],
            "authentication.kubernetes.io/pod-uid": ["u"],
        },
    },
}
HALF: list[dict[str, Any]] = [
    {**GENUINE, "authenticated": False},
    {**GENUINE, "audiences": []},
    {**GENUINE, "audiences": ["https://kubernetes.default.svc"]},
    {**GENUINE, "user": {**GENUINE["user"], "username": "admin"}},
    {**GENUINE, "user": {"username": GENUINE["user"]["username"]}},
    {},
]


def test_a_genuine_review() -> None:
    assert identity_of(GENUINE, AUDIENCE) is not None


@pytest.mark.parametrize("status", HALF)
def test_a_review_that_proves_less(status: dict[str, Any]) -> None:
    assert identity_of(status, AUDIENCE) is None
