"""Jobs come to life: pods wait, run, publish, fail, are evicted; suspending and deleting ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from modelyard import names
from modelyard.api.progress import TrainerStatus
from modelyard.api.run import ExitCode, Outcome
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.endpoint.callers import Caller
from tests.simulation import clock, podstatus, results
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_store import FakeStore
from tests.simulation.fate import Fates, PodFate, reason_of
from tests.simulation.story import Story

WHO = "kubelet"


class FakeKubelet:
    """One player per Job, for as long as the Job exists."""

    def __init__(self, api: FakeApi, store: FakeStore, fates: Fates, story: Story) -> None:
        self.api, self.store, self.fates, self.story = api, store, fates, story
        self.players: dict[str, JobPlayer] = {}
        self.pods_of_run: dict[str, int] = {}
        self.ends: set[tuple[str, str]] = set()
        """(run, reason of a pod's failure)."""
        self.deaths: dict[str, list[tuple[int, str]]] = {}
        """Run -> exit code and words of its pods, in their order."""
        self.posted: Callable[[Caller, TrainerStatus], None] = lambda caller, status: None
        """Takes what pods post to the endpoint."""
        api.watchers.append(self._on_change)

    def _on_change(self, type_: str, obj: Manifest) -> None:
        if obj["kind"] == "Pod" and "deletionTimestamp" in obj["metadata"]:
            owner = obj["metadata"]["ownerReferences"][0]["uid"]
            if owner in self.players:
                self.players[owner].wake.set()
        if obj["kind"] != "Job":
            return
        uid = obj["metadata"]["uid"]
        if type_ == "ADDED":
            self.players[uid] = JobPlayer(self, key_of(obj), uid)
        if uid in self.players:
            self.players[uid].wake.set()

    def reasons(self, run: str) -> set[str]:
        """Why pods of a run failed."""
        return {reason for of, reason in self.ends if of == run}

    def next_pod(self, run: str) -> int:
        """Count the pods of a run over all of its Jobs."""
        self.pods_of_run[run] = self.pods_of_run.get(run, -1) + 1
        return self.pods_of_run[run]


class JobPlayer:
    """Job controller, scheduler, kubelet and trainer of one Job."""

    def __init__(self, cluster: FakeKubelet, key: Key, uid: str) -> None:
        self._in, self._key, self._uid = cluster, key, uid
        self.wake = asyncio.Event()
        self._pods: list[str] = []
        self._counts = {"active": 0, "ready": 0, "failed": 0, "succeeded": 0}
        self._disrupted = 0
        self._run = ""
        self._config: dict[str, Any] | None = None
        """What the pod found when it started; it keeps it, whatever becomes of the ConfigMap."""
        self.task = asyncio.create_task(self._live())

    async def _live(self) -> None:
        await asyncio.sleep(0.05)
        while self._wants_pods():
            await self._one_pod()
        await self._until_deleted()
        for pod in self._pods:
            await self._remove(pod)

    def _job(self) -> Manifest | None:
        job = self._in.api.look(*self._key)
        same = job is not None and job["metadata"]["uid"] == self._uid
        return job if same and job is not None and "deletionTimestamp" not in job["metadata"] else None

    def _wants_pods(self) -> bool:
        job = self._job()
        return job is not None and not any(
            c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ())
        )

    def _suspended(self) -> bool:
        job = self._job()
        return job is None or bool(job["spec"].get("suspend"))

    async def _until_deleted(self) -> None:
        while self._job() is not None:
            self.wake.clear()
            await self.wake.wait()

    async def _pause(self, seconds: float, pod: str = "") -> bool:
        """Wait; True when the Job was suspended or deleted, or the pod was asked to go, before the time was over."""
        until = clock.seconds() + seconds
        while not self._suspended() and not self._asked_to_go(pod):
            left = until - clock.seconds()
            if left <= clock.RESOLUTION:
                return False
            self.wake.clear()
            try:
                await asyncio.wait_for(self.wake.wait(), left)
            except TimeoutError:
                continue
        return True

    def _asked_to_go(self, pod: str) -> bool:
        found = self._in.api.look("Pod", self._key[1], pod) if pod else None
        return bool(pod) and (found is None or "deletionTimestamp" in found["metadata"])

    async def _one_pod(self) -> None:
        job = self._job()
        assert job is not None
        if self._suspended():
            self._report(suspended=True)
            self.wake.clear()
            await self.wake.wait()
            return
        config_map = self._in.api.look("ConfigMap", self._key[1], _config_name(job))
        run = self._run = job["metadata"]["labels"][names.LABEL_RUN]
        index = self._in.next_pod(run)
        fate = self._in.fates.pod(run, index)
        pod = self._make_pod(job, index)
        self._report(active=1)
        if config_map is None:
            await self._wait_for_config(job, pod)
        self._config = self._mounted()
        if await self._start(pod, fate) or await self._work(pod, fate):
            await self._stop(pod, fate)
        else:
            await self._end(pod, fate)

    async def _wait_for_config(self, job: Manifest, pod: str) -> None:
        while self._in.api.look("ConfigMap", self._key[1], _config_name(job)) is None:
            if await self._pause(1.0, pod):
                return

    async def _start(self, pod: str, fate: PodFate) -> bool:
        if fate.waiting_reason:
            self._set_pod(pod, podstatus.waiting(fate.waiting_reason))
        if await self._pause(fate.wait, pod):
            return True
        self._set_pod(pod, podstatus.running())
        self._report(active=1, ready=1)
        return False

    async def _work(self, pod: str, fate: PodFate) -> bool:
        config = self._config
        for share in (0.25, 0.75):
            if await self._pause(fate.work / 3, pod):
                return True
            if config and config["kind"] == "train":
                self._in.posted(self._caller(pod), results.progress(share))
        return await self._pause(fate.work / 3, pod)

    def _caller(self, pod: str) -> Caller:
        """As the endpoint finds out by the pod's token."""
        job = self._in.api.look(*self._key)
        assert job is not None
        owner, namespace = job["metadata"]["ownerReferences"][0], self._key[1]
        run, key = job["metadata"]["labels"][names.LABEL_RUN], (owner["kind"], namespace, owner["name"])
        return Caller(namespace, self._key[2], run, pod, pod, key)

    async def _stop(self, pod: str, fate: PodFate) -> None:
        """SIGTERM: some pods are so near their end that they still publish."""
        rng = self._in.fates.rng("stop", pod)
        await asyncio.sleep(rng.uniform(0.1, 4.0))
        config = self._config
        if config and fate.end == "published" and rng.random() < 0.3:
            results.publish(config, self._in.store, rng)
        left_alone = self._job() is not None and not self._suspended()
        await self._remove(pod)
        self._pods.remove(pod)
        self._in.deaths.setdefault(self._run, []).append((143, ""))
        if left_alone:
            self._in.ends.add((self._run, names.DISRUPTED))
            self._counts["failed"] += 1
            self._conclude(fate, 143, disrupted=False)

    async def _end(self, pod: str, fate: PodFate) -> None:
        config = self._config
        code, end = fate.exit_code, fate.end
        if config is None:
            code, end = 10, "final"
        elif config["kind"] == "hash" and not results.is_listed(config, self._in.store):
            code, end = int(ExitCode.BASE_INVALID), "final"
        elif results.published(config, self._in.store) or end in ("published", "killed-after-publish"):
            results.publish(config, self._in.store, self._in.fates.rng("result", pod))
            code, end = (0, "published") if end != "killed-after-publish" else (code, end)
        self._in.story.tell("kubelet: pod %s ends: %s (%d)", pod, end, code)
        self._in.deaths.setdefault(self._run, []).append((code, fate.words))
        outcome = Outcome(outcome="published" if code == 0 else "failed", message=fate.words if code else "")
        self._set_pod(pod, podstatus.ended(end, code, outcome.model_dump_json(by_alias=True)))
        if code:
            self._in.ends.add((self._run, reason_of(fate, code)))
        await asyncio.sleep(fate.lag)
        if self._job() is None:
            return
        self._counts["succeeded" if code == 0 else "failed"] += 1
        self._conclude(fate, code, disrupted=end == "evicted")

    def _conclude(self, fate: PodFate, code: int, *, disrupted: bool) -> None:
        """What the Job controller makes of a pod's end."""
        job = self._job()
        if job is None:
            return
        self._disrupted += disrupted
        self._in.ends.add((job["metadata"]["labels"][names.LABEL_RUN], reason_of(fate, code)))
        rules = job["spec"].get("podFailurePolicy", {}).get("rules", ())
        fails_job = any(code in rule.get("onExitCodes", {}).get("values", ()) for rule in rules)
        counted = self._counts["failed"] - self._disrupted
        if code == 0:
            self._finish("Complete", "CompletionsReached", "")
        elif fails_job and not disrupted:
            self._finish("Failed", "PodFailurePolicy", f"Container trainer failed with exit code {code}")
        elif counted > job["spec"].get("backoffLimit", 6):
            self._finish("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        else:
            self._report()

    def _finish(self, type_: str, reason: str, message: str) -> None:
        condition = {"type": type_, "status": "True", "reason": reason, "message": message}
        self._report(conditions=[{**condition, "lastTransitionTime": clock.stamp()}])

    def _report(self, *, suspended: bool = False, conditions: list[Any] | None = None, **counts: int) -> None:
        if self._job() is None:
            return
        self._counts.update({"active": 0, "ready": 0, **counts})
        status: Manifest = dict(self._counts)
        if suspended:
            status["conditions"] = [{"type": "Suspended", "status": "True", "reason": "JobSuspended"}]
        elif conditions is not None:
            status["conditions"] = conditions
        self._in.api.patch(*self._key, {"status": status}, "status", WHO)

    def _mounted(self) -> dict[str, Any] | None:
        job = self._in.api.look(*self._key)
        name = _config_name(job) if job else self._key[2]
        found = self._in.api.look("ConfigMap", self._key[1], name)
        return results.config_of(found) if found else None

    def _make_pod(self, job: Manifest, index: int) -> str:
        name = f"{self._key[2]}-0-{self._uid[-5:]}-{index}"
        self._in.api.create(podstatus.pod_of(job, name), WHO)
        self._pods.append(name)
        return name

    def _set_pod(self, pod: str, status: Manifest) -> None:
        if self._in.api.look("Pod", self._key[1], pod) is not None:
            self._in.api.patch("Pod", self._key[1], pod, {"status": status}, "status", WHO)

    async def _remove(self, pod: str) -> None:
        await asyncio.sleep(0.05)
        podstatus.remove(self._in.api, self._key[1], pod, WHO)


def _config_name(job: Manifest) -> str:
    volumes = job["spec"]["template"]["spec"]["volumes"]
    return str(next(v["configMap"]["name"] for v in volumes if "configMap" in v))
