"""KServe comes, goes and loses what it was offered, while the operator runs."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from modelyard import names
from modelyard.decision import Manifest, Offer, Platform, Reconciler
from modelyard.engine.context import Context
from modelyard.engine.facts import Facts
from modelyard.engine.kserve import KServe
from modelyard.engine.kube import Kube, KubeError
from modelyard.engine.loop import Engine
from modelyard.resources.modeldeployment import RECONCILER, offered, used

PLATFORM = Platform(server_image="server:1", namespace="modelyard")
DEPLOYMENT: Manifest = {
    "kind": "ModelDeployment",
    "metadata": {"name": "reviews", "namespace": "shop", "uid": "1", "resourceVersion": "1"},
}
Names = list[str]


@dataclass
class FakeKube:
    """An API server with or without KServe."""

    served: bool = False
    away: bool = False
    refuses: bool = False
    objects: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)

    async def serves(self, kinds: Iterable[str]) -> bool:
        if self.away:
            raise KubeError(0, "no answer")
        return self.served

    async def list(self, kind: str, selector: str = "", keep: Callable[[Manifest], bool] = bool) -> list[Manifest]:
        wanted = {tuple(part.split("=")) for part in selector.split(",") if "=" in part}
        found = [copy.deepcopy(o) for (of, _), o in self.objects.items() if of == kind]
        return [o for o in found if wanted <= set(o["metadata"].get("labels", {}).items()) and keep(o)]

    async def apply(self, manifest: Manifest) -> Manifest:
        if self.refuses:
            raise KubeError(500, "failed calling webhook")
        self.writes.append(f"apply {manifest['kind']}")
        self.objects[manifest["kind"], manifest["metadata"]["name"]] = copy.deepcopy(manifest)
        return manifest

    async def delete(self, kind: str, namespace: str, name: str, uid: str = "") -> bool:
        self.writes.append(f"delete {kind}")
        return self.objects.pop((kind, name), None) is not None

    def of(self, kind: str) -> Names:
        return [name for of, name in self.objects if of == kind]


@dataclass
class FakeWatch:
    log: list[str]

    def start(self) -> None:
        self.log.append("start")

    def stop(self) -> None:
        self.log.append("stop")


@dataclass
class FakeGuard:
    held: bool = True


class Stage:
    """The real engine and KServe's follower on a fake API server."""

    def __init__(self, platform: Platform = PLATFORM, kube: FakeKube | None = None) -> None:
        self.kube, self.guard, self.watches = kube or FakeKube(), FakeGuard(), list[str]()
        reconciler = Reconciler(RECONCILER.kind, RECONCILER.plural, True, RECONCILER.needs, RECONCILER.decide)
        self.engine = Engine([reconciler], Context(cast(Any, self.kube), Facts({}), platform))
        self.engine.on_event("ADDED", copy.deepcopy(DEPLOYMENT))
        self.kserve = KServe(
            self.engine,
            cast(Kube, self.kube),
            Offer(offered, used),
            self.guard,
            lambda: FakeWatch(self.watches),
        )

    @property
    def served(self) -> bool:
        return self.engine.context.platform.kserve


def isvc(runtime: str) -> Manifest:
    return {
        "kind": "InferenceService",
        "metadata": {
            "name": "reviews-v7",
            "namespace": "shop",
            "uid": "2",
            "resourceVersion": "2",
            "ownerReferences": [{"apiVersion": names.API_VERSION, "uid": "1", "controller": True}],
            "labels": {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.LABEL_KIND: "modeldeployment"},
        },
        "spec": {"predictor": {"model": {"runtime": runtime}, "storageContainerName": runtime}},
    }


async def test_without_kserve_nothing_is_done() -> None:
    stage = Stage()
    await stage.kserve.look()
    assert not stage.served and not stage.kube.writes and not stage.watches


async def test_it_appears_goes_and_comes_back() -> None:
    stage = Stage()
    await stage.kserve.look()
    stage.kube.served = True
    stage.kube.objects["InferenceService", "reviews-v7"] = isvc("x")
    await stage.kserve.look()
    await stage.kserve.look()
    assert stage.served and stage.watches == ["start"]
    assert stage.kube.writes == ["apply ClusterServingRuntime", "apply ClusterStorageContainer"]
    assert stage.engine.context.cache.get("InferenceService", "shop", "reviews-v7") is not None
    assert stage.engine.queue.depth == 1
    stage.kube.served = False
    await stage.kserve.look()
    assert not stage.served and stage.watches == ["start", "stop"]
    assert stage.engine.context.cache.get("InferenceService", "shop", "reviews-v7") is None
    stage.kube.served = True
    await stage.kserve.look()
    assert stage.watches == ["start", "stop", "start"]


async def test_what_is_deleted_or_changed_by_hand_is_put_back() -> None:
    stage = Stage(kube=FakeKube(served=True))
    await stage.kserve.look()
    stage.kube.objects.pop(("ClusterServingRuntime", stage.kube.of("ClusterServingRuntime")[0]))
    fetch = stage.kube.objects["ClusterStorageContainer", stage.kube.of("ClusterStorageContainer")[0]]
    fetch["spec"]["container"]["image"] = "evil:1"
    stage.kube.writes.clear()
    await stage.kserve.look()
    assert stage.kube.writes == ["apply ClusterServingRuntime", "apply ClusterStorageContainer"]


async def test_objects_of_an_older_release_go_once_nothing_uses_them() -> None:
    kube = FakeKube(served=True)
    old = Stage(kube=kube)
    await old.kserve.look()
    runtime, fetch = kube.of("ClusterServingRuntime")[0], kube.of("ClusterStorageContainer")[0]
    live = isvc(runtime)
    live["spec"]["predictor"]["storageContainerName"] = fetch
    kube.objects["InferenceService", "reviews-v7"] = live
    new = Stage(Platform(server_image="server:2", namespace="modelyard"), kube)
    await new.kserve.look()
    assert len(kube.of("ClusterServingRuntime")) == len(kube.of("ClusterStorageContainer")) == 2
    new.engine.on_event("DELETED", live)
    await new.kserve.look()
    assert runtime not in kube.of("ClusterServingRuntime") and fetch not in kube.of("ClusterStorageContainer")
    assert len(kube.of("ClusterServingRuntime")) == 1


async def test_objects_of_others_are_left_alone() -> None:
    kube = FakeKube(served=True)
    labels = {names.MANAGED_BY: names.MANAGED_BY_VALUE, names.LABEL_INSTALLATION: "another"}
    for name, meta in (("theirs", {"labels": labels}), ("users", {})):
        kube.objects["ClusterServingRuntime", name] = {"metadata": {"name": name, **meta}, "spec": {}}
    await Stage(kube=kube).kserve.look()
    assert {"theirs", "users"} < set(kube.of("ClusterServingRuntime"))


async def test_without_the_lease_nothing_is_written_but_all_is_known() -> None:
    stage = Stage(kube=FakeKube(served=True))
    stage.guard.held = False
    await stage.kserve.look()
    assert stage.served and not stage.kube.writes


async def test_without_an_api_server_nothing_changes() -> None:
    stage = Stage(kube=FakeKube(served=True))
    await stage.kserve.look()
    stage.kube.away = True
    await stage.kserve.look()
    assert stage.served and stage.watches == ["start"]


async def test_a_refused_offer_keeps_nothing_from_starting() -> None:
    stage = Stage(kube=FakeKube(served=True, refuses=True))
    await asyncio.wait_for(stage.kserve.first_look(), 1)
    assert stage.served and not stage.kube.writes
    stage.kube.refuses = False
    await stage.kserve.look()
    assert stage.kube.writes and stage.watches == ["start"]


async def test_a_listing_that_fails_starts_no_second_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(kube=FakeKube(served=True))
    with monkeypatch.context() as broken:
        broken.setattr(stage.kube, "list", fails)
        assert not await stage.kserve.look()
    assert not stage.served and not stage.watches
    assert await stage.kserve.look()
    assert stage.served and stage.watches == ["start"]


async def fails(*_: Any, **__: Any) -> Names:
    raise KubeError(0, "no answer")
