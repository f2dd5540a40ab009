"""One run with a pod in the operator's cache, and an API server that reviews tokens by a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from modelyard import names
from modelyard.api.access import Access
from modelyard.decision import Manifest
from modelyard.engine.cache import Cache
from modelyard.engine.endpoint.callers import POD_NAME, POD_UID, Callers
from modelyard.engine.kube import KubeError
from modelyard.storage.sts import Keys, Sts
from tests.builders import Built, a_finetunejob, an_object
from tests.hyperparameters import completed

JOB, RUN, POD = "reviews-1234", "1234", "reviews-1234-0"
NAMESPACE = "team-a"
HOST = "modelyard.ops.svc"


class Reviewer:
    """Answers TokenReviews: token -> status, filled by `knows`."""

    def __init__(self) -> None:
        self.statuses: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.down = False

    async def create(self, manifest: Manifest) -> Manifest:
        """A review."""
        self.asked.append(manifest["spec"]["token"])
        if self.down:
            raise KubeError(0, "no answer")
        status = self.statuses.get(manifest["spec"]["token"], {"authenticated": False})
        if not set(status.get("audiences", ())) & set(manifest["spec"]["audiences"]):
            status = {"authenticated": False}
        return {**manifest, "status": status}

    def knows(self, token: str, pod: str = POD, namespace: str = NAMESPACE, purpose: str = names.PROGRESS) -> str:
        """A token bound to a pod; gives the header."""
        self.statuses[token] = {
            "authenticated": True,
            "audiences": [names.audience(JOB, purpose)],
            "user": {
                "username": f"system:serviceaccount:{namespace}:default",
                "extra": {POD_NAME: [pod], POD_UID: [f"uid-pod-{pod}"]},
            },
        }
        return f"Bearer {token}"


class Keysmith(Sts):
    """A token service that gives everyone the same keys."""

    def __init__(self) -> None:
        self.asked: list[Access] = []
        self.fault: Exception | None = None

    def keys(self, access: Access, session: str) -> Keys:
        """Keys of an hour."""
        self.asked.append(access)
        if self.fault is not None:
            raise self.fault
        return Keys("key", "secret", "session", datetime.now(UTC) + timedelta(hours=1))


FILLED = ("method", "input", "train", "byRecipe", "microBatch")


def a_running_job(**run: Any) -> Built:
    """The FineTuneJob with its run pinned."""
    pinned = {
        "image": "trainer:1",
        "base": {"uri": "s3://base/minilm/", "digest": "sha256:b", "listing": "sha256:a"},
        "dataset": {"name": "reviews", "prefix": f"ns/{NAMESPACE}/datasets/reviews/1/", "digest": "sha256:d"},
        "recipe": 1,
        **{field: value for field, value in completed(a_finetunejob()["spec"]).items() if field in FILLED},
    }
    return a_finetunejob().status(run={"id": RUN, "model": "reviews", "state": "Running", "pinned": pinned, **run})


def a_cache(*changed: Built) -> Cache:
    """FineTuneJob, Job and pod as the watches showed them; `changed` replace those of the same kind and name."""
    cache = Cache()
    owner = a_finetunejob()
    job = an_object("batch/v1", "Job", JOB, {}).owned_by(owner).label(names.LABEL_RUN, RUN)
    pod = an_object("v1", "Pod", POD, {}).owned_by(job).status(phase="Running")
    objects = {(obj["kind"], obj["metadata"]["name"]): obj for obj in (owner, job, pod, *changed)}
    for number, obj in enumerate(objects.values(), 1):
        cache.put(obj.but("metadata.resourceVersion", str(number)))
    return cache


def callers(reviewer: Reviewer, *changed: Built) -> Callers:
    """Who asks the reviewer and looks into the cache."""
    return Callers(reviewer, a_cache(*changed))
