"""Who speaks: a bearer token becomes a live pod of one run, or a refusal."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.cache import Cache, Key, owner_uids
from modelyard.engine.endpoint.refusal import Refused, forbidden, unauthenticated
from modelyard.engine.kube import KubeError

REMEMBERED_SECONDS, REMEMBERED = 60.0, 5000
LONGEST_TOKEN = 8192
AT_ONCE = 8
"""Reviews under way at the same time: a flood of forged tokens must not become a flood at the API server."""
POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
RUN_OWNERS = ("FineTuneJob", "Dataset")


@dataclass(frozen=True, slots=True)
class Caller:
    """A live pod of a run that an object of ours owns."""

    namespace: str
    job: str
    run: str
    pod: str
    pod_uid: str
    owner: Key


@dataclass(frozen=True, slots=True)
class Identity:
    """What the API server says about a token."""

    namespace: str
    pod: str
    pod_uid: str


class Reviewer(Protocol):
    """What is needed of the API server."""

    async def create(self, manifest: Manifest) -> Manifest:
        """POST a TokenReview."""


class Callers:
    """Reviews tokens, and remembers for a minute what a token proved; the pod is looked at each time."""

    def __init__(self, kube: Reviewer, cache: Cache, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube, self._cache, self._clock = kube, cache, clock
        self._known: OrderedDict[tuple[bytes, str], tuple[float, Identity | None]] = OrderedDict()
        self._reviews = asyncio.Semaphore(AT_ONCE)

    async def identify(self, authorization: str, namespace: str, job: str, purpose: str) -> Caller:
        """The pod behind a token that was made for this job and purpose; Refused for anything else."""
        token = authorization.removeprefix("Bearer ").strip()
        if not token or len(token) > LONGEST_TOKEN:
            raise unauthenticated("send the pod's projected token in the header Authorization: Bearer ...")
        if self._job(namespace, job) is None:
            raise unauthenticated("this token opens nothing here")
        identity = await self._identity(token, names.audience(job, purpose))
        if identity is None:
            raise unauthenticated("this token opens nothing here")
        if identity.namespace != namespace:
            raise forbidden(f"a pod of namespace {identity.namespace} has no business in {namespace}")
        return self._caller(identity, job)

    async def _identity(self, token: str, audience: str) -> Identity | None:
        key = (hashlib.sha256(token.encode()).digest(), audience)
        at, known = self._known.get(key, (0.0, None))
        if key in self._known and self._clock() - at < REMEMBERED_SECONDS:
            return known
        async with self._reviews:
            found = await self._review(token, audience)
        self._known[key] = (self._clock(), found)
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found

    async def _review(self, token: str, audience: str) -> Identity | None:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "metadata": {},
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            answer = await self._kube.create(review)
        except KubeError as fault:
            raise Refused(503, "Unavailable", f"the API server cannot review the token now: {fault.message}") from fault
        return identity_of(answer.get("status", {}), audience)

    def _job(self, namespace: str, name: str) -> Manifest | None:
        """A Job that an object of ours controls."""
        job = self._cache.get("Job", namespace, name)
        return job if job is not None and self._owner(job) is not None else None

    def _owner(self, job: Manifest) -> Manifest | None:
        for reference in job["metadata"].get("ownerReferences", ()):
            if reference.get("controller") and reference.get("kind") in RUN_OWNERS:
                owner = self._cache.get(reference["kind"], job["metadata"]["namespace"], reference["name"])
                if owner is not None and owner["metadata"]["uid"] == reference["uid"]:
                    return owner
        return None

    def _caller(self, identity: Identity, job_name: str) -> Caller:
        """The pod must be there, alive, the very one of the token, and one of the Job's."""
        pod = self._cache.get("Pod", identity.namespace, identity.pod)
        job = self._job(identity.namespace, job_name)
        if pod is None or job is None or pod["metadata"]["uid"] != identity.pod_uid:
            raise forbidden(f"there is no pod {identity.pod} of Job {job_name} with the uid of this token")
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            raise forbidden(f"pod {identity.pod} has ended")
        if job["metadata"]["uid"] not in owner_uids(pod):
            raise forbidden(f"pod {identity.pod} is not one of Job {job_name}")
        owner = self._owner(job)
        if owner is None:
            raise forbidden(f"Job {job_name} belongs to nobody here")
        run = job["metadata"].get("labels", {}).get(names.LABEL_RUN, "")
        key = (owner["kind"], identity.namespace, owner["metadata"]["name"])
        return Caller(identity.namespace, job_name, run, identity.pod, identity.pod_uid, key)


def identity_of(status: dict[str, Any], audience: str) -> Identity | None:
    """The pod that a review speaks of; None unless the token is genuine, for this audience, and bound to a pod."""
    user = status.get("user", {})
    parts = str(user.get("username", "")).split(":")
    genuine = status.get("authenticated") is True and audience in status.get("audiences", ())
    if not genuine or len(parts) != 4 or parts[:2] != ["system", "serviceaccount"]:
        return None
    extra = user.get("extra", {})
    names_, uids = extra.get(POD_NAME, ()), extra.get(POD_UID, ())
    if len(names_) != 1 or len(uids) != 1:
        return None
    return Identity(parts[2], names_[0], uids[0])
