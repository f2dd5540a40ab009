"""A cluster in a dictionary: carries decisions out as the engine does, and plays the Deployment controller by hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from modelyard import names
from modelyard.api.modeldeployment import version_in
from modelyard.decision import Answer, Child, Decision, Fact, Manifest, Observed, Platform, Ref, Select
from modelyard.resources.conditions import condition
from modelyard.resources.modeldeployment import RECONCILER
from tests.builders_serving import NOW, PLATFORM, a_modeldeployment, a_server_pod, make_available

SAMPLE = "a fine film"
ROUNDS = 4


@dataclass
class ServingHarness:
    """One ModelDeployment, the versions of its model, its children, and what the facts would answer."""

    obj: Manifest = field(default_factory=a_modeldeployment)
    versions: dict[int, Manifest] = field(default_factory=dict)
    children: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    pods: list[Manifest] = field(default_factory=list)
    predictions: dict[str, Answer] = field(default_factory=dict)
    manifest: Answer = field(default_factory=lambda: Answer({"manifest": {"info": {"sample": SAMPLE}}}))
    address: Answer = field(default_factory=lambda: Answer(value=True))
    """Whether the stable address answers."""
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    lost: set[tuple[str, str]] = field(default_factory=set)
    """Children (kind, name) whose writes never arrive."""
    platform: Platform = PLATFORM
    now: datetime = NOW
    profiles: dict[str, Manifest] = field(default_factory=dict)
    """ServingProfiles by name."""
    namespace_labels: dict[str, str] = field(default_factory=dict)
    capacity: dict[str, dict[str, float]] = field(default_factory=dict)
    """What nodes have."""
    asked: list[Fact] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    writes: int = 0

    def observe(self) -> Observed:
        seen = Observed(
            children=tuple(self.children.values()),
            pods=tuple(self.pods),
            refused=self.refused,
            platform=self.platform,
        )
        self.asked = []
        known: set[Any] = set()
        for _ in range(ROUNDS):
            new = set(RECONCILER.needs(self.obj, seen)) - known
            if not new:
                return seen
            known |= new
            lists = {n: tuple(self.versions.values()) for n in new if isinstance(n, Select)}
            facts = {n: self._answer(n) for n in new if isinstance(n, Fact)}
            objects = {n: self.elsewhere(n) for n in new if isinstance(n, Ref)}
            self.asked += facts
            seen = replace(
                seen,
                lists={**seen.lists, **lists},
                facts={**seen.facts, **facts},
                objects={**seen.objects, **objects},
            )
        assert set(RECONCILER.needs(self.obj, seen)) <= known, "needs did not settle in four rounds"
        return seen

    def elsewhere(self, ref: Ref) -> Manifest | None:
        """An object that is no child."""
        assert ref.kind == "ServingProfile", f"nothing else is asked for, but {ref}"
        return self.profiles.get(ref.name)

    def _answer(self, fact: Fact) -> Answer:
        if fact.name == "manifest":
            return self.manifest
        if fact.name == "namespace_labels":
            return Answer(self.namespace_labels)
        if fact.name == "capacity":
            return Answer(self.capacity)
        args = dict(fact.args)
        if fact.name == "address":
            assert args["url"] == f"http://{self.obj['metadata']['name']}.shop.svc.{self.platform.cluster_domain}"
            return self.address
        assert args["sample"] == SAMPLE
        assert (
            args["url"]
            == f"http://{self.obj['metadata']['name']}-v{args['version']}.shop.svc.{self.platform.cluster_domain}"
        )
        default = Answer(reason=names.PROBE_FAILED, message="connection refused")
        return self.predictions.get(args["version"], default)

    def look(self) -> Decision:
        """What would be decided now, without doing it."""
        return RECONCILER.decide(self.obj, self.observe(), self.now)

    def turn(self, after: float = 0.0) -> Decision:
        """What the engine does, `after` seconds later: a change of the stable Service wakes it once more."""
        before = self.traffic
        decision = self.step(after)
        return decision if self.traffic == before else self.step()

    def step(self, after: float = 0.0) -> Decision:
        """One reconcile, `after` seconds later: status first, then pruning, then children."""
        self.now += timedelta(seconds=after)
        decision = self.look()
        if decision.status is not None:
            self.obj = {**self.obj, "status": copy.deepcopy(decision.status)}
        self.events += [event.reason for event in decision.events]
        self.carry_out(decision)
        return decision

    def carry_out(self, decision: Decision) -> None:
        wanted = {child.key for child in decision.children}
        assert len(wanted) == len(decision.children), "the same child twice"
        self.children = {key: child for key, child in self.children.items() if key in wanted}
        for child in decision.children:
            self._ensure(child)

    def _ensure(self, child: Child) -> None:
        live = self.children.get(child.key)
        if child.policy == "keep" or child.key in self.lost:
            return
        if live is None:
            self.children[child.key] = self._made(child.manifest)
        elif not _covers(live, child.manifest):
            spec_changed = not _covers(live["spec"], child.manifest["spec"])
            meta = {**live["metadata"], **child.manifest["metadata"]}
            meta["generation"] = live["metadata"]["generation"] + spec_changed
            self.children[child.key] = {**live, "metadata": meta, "spec": copy.deepcopy(child.manifest["spec"])}
            self.writes += 1

    def _made(self, manifest: Manifest) -> Manifest:
        self.writes += 1
        uid = f"uid-{manifest['kind']}-{manifest['metadata']['name']}-{self.writes}"
        meta = {**manifest["metadata"], "namespace": "shop", "generation": 1, "uid": uid}
        return {**copy.deepcopy(manifest), "metadata": meta}

    def deployment(self, number: int) -> Manifest:
        return self.children["Deployment", f"{self.obj['metadata']['name']}-v{number}"]

    def has(self, number: int) -> bool:
        return ("Deployment", f"{self.obj['metadata']['name']}-v{number}") in self.children

    def up(self, *numbers: int) -> None:
        """The servers of these versions become available."""
        for number in numbers:
            live = self.deployment(number)
            self.children["Deployment", live["metadata"]["name"]] = make_available(live, self.now)

    def answers(self, number: int, version: int | str | None = None) -> None:
        """The server of a version answers predictions (as another version)."""
        told = number if version is None else version
        self.predictions[str(number)] = Answer({"version": str(told), "prediction": ["positive"]})

    def pod(self, number: int, **status: Any) -> None:
        """Replace all pods by one of a version, made now."""
        self.pods = [a_server_pod(self.deployment(number), at=self.now, **status)]

    def hangs(self, number: int) -> None:
        """A pod of a version runs, and never becomes ready."""
        self.pod(number, phase="Running", containerStatuses=[{"name": "server", "ready": False, "restartCount": 0}])

    def go_live(self, number: int) -> None:
        """From nothing (or another version) to this version serving, drained and settled."""
        self.turn()
        self.up(number)
        self.answers(number)
        self.turn(5)
        self.turn(31)
        assert self.serving == number

    def edit(self, obj: Manifest) -> None:
        """The user applies another spec."""
        generation = self.obj["metadata"]["generation"] + 1
        self.obj = {**self.obj, "spec": obj["spec"], "metadata": {**self.obj["metadata"], "generation": generation}}

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.obj.get("status", {}))

    def entry(self, state: str) -> dict[str, Any]:
        """The version in a state, as the status has it."""
        return version_in(self.status, state)

    @property
    def serving(self) -> int | None:
        return self.entry("serving").get("number")

    @property
    def candidate(self) -> int | None:
        return self.entry("candidate").get("number")

    @property
    def draining(self) -> int | None:
        return self.entry("draining").get("number")

    @property
    def failed(self) -> int | None:
        return self.entry("failed").get("number")

    @property
    def traffic(self) -> str | None:
        """The version that the stable Service selects."""
        service = self.children.get(("Service", self.obj["metadata"]["name"]))
        return None if service is None else str(service["spec"]["selector"].get(names.LABEL_VERSION))

    def word(self, type_: str) -> tuple[str, str] | None:
        found = condition(self.obj, type_)
        return None if found is None else (found["status"], found["reason"])

    def message(self, type_: str) -> str:
        found = condition(self.obj, type_)
        assert found is not None, f"no condition {type_}"
        return str(found["message"])


def _covers(live: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(k in live and _covers(live[k], v) for k, v in wanted.items())
    return bool(live == wanted)
