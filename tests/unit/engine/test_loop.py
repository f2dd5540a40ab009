"""Reconciles of the real engine on the fake API server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import cast

import pytest

from modelyard import names
from modelyard.decision import Child, Decision, Fact, Manifest, Observed, Reconciler, Ref
from modelyard.engine.apply import RefusedError
from modelyard.engine.context import Context
from modelyard.engine.facts import Facts
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.loop import Engine
from modelyard.engine.queue import WorkQueue
from modelyard.engine.resync import repair, resync
from tests.simulation import clock, wishes
from tests.simulation.client import Client, Faults
from tests.simulation.fake_api import FakeApi
from tests.simulation.fault_points import FaultPoints
from tests.simulation.operators import PLATFORM
from tests.simulation.story import Story

KEY = ("TrainingProfile", "", names.DEFAULT_PROFILE)


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Say which generation was seen; keep a Job suspended."""
    job: Manifest = {"kind": "Job", "metadata": {"name": "job"}, "spec": {"template": {"spec": {}}}}
    status = {"observedGeneration": obj["metadata"]["generation"], "phase": "Seen"}
    return Decision(status, (Child({**job, "apiVersion": "batch/v1"}, "create", suspend=True),))


def lived(script: Callable[[FakeApi, Engine], Awaitable[None]]) -> None:
    async def play() -> None:
        api = FakeApi()
        client = Client(api, "operator", Faults(), FaultPoints(1), Story())
        context = Context(kube=client, facts=Facts({}, clock.seconds), platform=PLATFORM, now=clock.now)
        reconciler = Reconciler(
            "TrainingProfile", "trainingprofiles", False, lambda obj, observed: (), decide, ("Job",)
        )
        engine = Engine([reconciler], context)
        engine.on_event("ADDED", api.apply(wishes.profile(), "user"))
        await script(api, engine)

    clock.run(play())


def test_after_a_conflict_the_object_is_read_again_though_its_event_is_lost() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        api.patch(*KEY, {"spec": {"retries": 5}}, "", "user")
        pause = await engine.reconcile(KEY)
        assert pause is not None and pause < 1.0
        assert await engine.reconcile(KEY) is None
        written = api.look(*KEY)
        assert written is not None and written["status"]["observedGeneration"] == 2

    lived(script)


def test_what_became_of_a_write_without_an_answer_is_read_before_the_next_decision() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        real = engine.context.kube.create

        async def silent(manifest: Manifest) -> Manifest:
            await real(manifest)
            raise KubeError(0, "TimeoutError: ", "NoAnswer")

        async def twice(manifest: Manifest) -> Manifest:
            raise AssertionError("it was not read that the child is there")

        engine.context.kube.create = silent  # type: ignore[method-assign]
        with pytest.raises(KubeError):
            await engine.reconcile(KEY)
        assert engine.context.cache.get("Job", "", "job") is None
        engine.context.kube.create = twice  # type: ignore[method-assign]
        await engine.reconcile(KEY)
        assert engine.context.cache.get("Job", "", "job") is not None
        assert engine.context.unanswered == {}

    lived(script)


def test_an_object_that_is_gone_is_forgotten_though_its_event_is_lost() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        api.delete(*KEY, "", "user")
        await engine.reconcile(KEY)
        assert engine.context.cache.get(*KEY) is None
        assert await engine.reconcile(KEY) is None

    lived(script)


def test_a_child_that_is_gone_is_made_again_though_its_event_is_lost() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        await engine.reconcile(KEY)
        api.patch("Job", "", "job", {"spec": {"suspend": False}}, "", "user")
        job = api.get("Job", "", "job")
        assert job is not None
        engine.on_event("MODIFIED", job)
        api.delete("Job", "", "job", "", "user")
        assert await engine.reconcile(KEY) == pytest.approx(1.0)
        await engine.reconcile(KEY)
        made = api.look("Job", "", "job")
        assert made is not None and made["spec"]["suspend"] is True

    lived(script)


def test_what_a_resync_finds_gone_is_forgotten_and_its_askers_are_woken() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        asker = ("TrainingProfile", "", "asker")
        engine.context.index.remember(asker, [Ref(KEY[0], KEY[2])])
        api.delete(*KEY, "", "user")
        await resync(engine, cast(Kube, engine.context.kube))
        assert engine.context.cache.get(*KEY) is None
        assert engine.queue.depth == 2

    lived(script)


def test_mending_wakes_whom_news_concern_and_nobody_else() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        asker = ("TrainingProfile", "", "asker")
        engine.queue = WorkQueue(engine.reconcile)
        assert await repair(engine, cast(Kube, engine.context.kube)) == 0
        assert engine.queue.depth == 0
        engine.context.index.remember(asker, [Ref(KEY[0], KEY[2])])
        api.patch(*KEY, {"spec": {"retries": 5}}, "", "user")
        assert await repair(engine, cast(Kube, engine.context.kube)) == 1
        assert engine.queue._queued == {KEY, asker}
        known = engine.context.cache.get(*KEY)
        assert known is not None and known["spec"]["retries"] == 5

    lived(script)


def test_the_echo_of_what_is_known_wakes_nobody() -> None:
    async def script(api: FakeApi, engine: Engine) -> None:
        await engine.reconcile(KEY)
        known = engine.context.cache.get(*KEY)
        assert known is not None
        before = engine.queue.depth
        engine.queue.forget(KEY)
        woken: list[Manifest] = []
        engine.context.on_news = woken.append
        engine.on_event("MODIFIED", known)
        assert woken == [] and engine.queue.depth == before
        api.patch(*KEY, {"spec": {"retries": 5}}, "", "user")
        engine.on_event("MODIFIED", api.get(*KEY) or {})
        assert [obj["spec"]["retries"] for obj in woken] == [5]

    lived(script)


def test_a_written_answer_wakes_those_who_asked_for_the_object_before_any_event() -> None:
    asker = ("TrainingProfile", "", "asker")

    async def script(api: FakeApi, engine: Engine) -> None:
        engine.context.index.remember(asker, [Ref("TrainingProfile", names.DEFAULT_PROFILE)])
        woken: list[tuple[str, str, str]] = []
        engine.queue.add = woken.append  # type: ignore[method-assign, assignment]
        await engine.reconcile(KEY)
        assert asker in woken

    lived(script)


def test_what_changes_while_facts_are_asked_wakes_the_asker() -> None:
    ref = Ref("TrainingProfile", "late")

    async def script(api: FakeApi, engine: Engine) -> None:
        woken: list[tuple[str, str, str]] = []

        async def slow(_: object) -> bool:
            engine.queue.add = woken.append  # type: ignore[method-assign, assignment]
            engine.on_event("ADDED", api.apply(wishes.profile() | {"metadata": {"name": "late"}}, "user"))
            return True

        engine.context.facts = Facts({"slow": slow}, clock.seconds)
        reconciler = engine.reconcilers["TrainingProfile"]
        engine.reconcilers["TrainingProfile"] = replace(reconciler, needs=lambda obj, observed: (ref, Fact("slow")))
        await engine.reconcile(KEY)
        assert KEY in woken

    lived(script)


def test_a_webhook_that_does_not_answer_is_told_to_the_room() -> None:
    """It is no fault of the request, and sending it again and again without a word helps nobody."""

    async def script(api: FakeApi, engine: Engine) -> None:
        api.silent_webhooks.add("Service")
        made: Manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {}}
        reconciler = engine.reconcilers["TrainingProfile"]

        def decide_one(obj: Manifest, observed: Observed, now: datetime) -> Decision:
            return replace(reconciler.decide(obj, observed, now), children=(Child(made),))

        engine.reconcilers["TrainingProfile"] = replace(reconciler, decide=decide_one)
        with pytest.raises(RefusedError):
            await engine.reconcile(KEY)
        assert "failed calling webhook" in engine.context.refused[KEY]["Service", "x"]

    lived(script)


def test_a_job_is_not_made_without_its_config_map() -> None:
    def decide_both(obj: Manifest, observed: Observed, now: datetime) -> Decision:
        config: Manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "job"}, "data": {}}
        told = observed.refused.get(("ConfigMap", "job"), "")
        decision = decide(obj, observed, now)
        return replace(
            decision,
            status={"phase": told or "Seen"},
            children=(Child(config, "create"), *decision.children),
        )

    async def script(api: FakeApi, engine: Engine) -> None:
        engine.reconcilers["TrainingProfile"] = replace(engine.reconcilers["TrainingProfile"], decide=decide_both)
        create = engine.context.kube.create

        async def too_long(manifest: Manifest) -> Manifest:
            if manifest["kind"] == "ConfigMap":
                raise KubeError(422, "Too long: must have at most 1048576 bytes", "Invalid")
            return await create(manifest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(engine.context.kube, "create", too_long)
            with pytest.raises(RefusedError):
                await engine.reconcile(KEY)
            assert api.look("Job", "", "job") is None
        await engine.reconcile(KEY)
        assert api.look("ConfigMap", "", "job") is not None
        assert api.look("Job", "", "job") is not None

    lived(script)
