"""A ModelDeployment, the versions of its model, and a test that plays the Deployment controller by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from modelyard import names
from modelyard.api.modeldeployment import version_in
from modelyard.decision import Answer, Decision, Manifest, Platform
from modelyard.resources.conditions import condition
from modelyard.resources.modeldeployment import RECONCILER
from tests.builders_serving import NOW, PLATFORM, a_modeldeployment, a_ready_version, a_server_pod, make_available
from tests.unit.resources.harness import Harness

SAMPLE = {"text": "a fine film"}
REFUSED = Answer(reason=names.PROBE_FAILED, message="connection refused")


class ServingHarness(Harness):
    """Short words for what tests of serving do often."""

    def __init__(
        self,
        *others: Manifest,
        versions: Iterable[int] = (7,),
        obj: Manifest | None = None,
        platform: Platform = PLATFORM,
        **facts: Any,
    ) -> None:
        known = map(a_ready_version, versions)
        super().__init__(RECONCILER, obj or a_modeldeployment(), *known, *others, platform=platform, now=NOW)
        self.predictions: dict[str, Answer] = {}
        self.facts = {
            "manifest": {"manifest": {"info": {"sample": SAMPLE}}},
            "address": True,
            "namespace_labels": {},
            "capacity": {},
            "prediction": self._predict,
            **facts,
        }

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    def _predict(self, args: dict[str, str]) -> Answer:
        assert json.loads(args["sample"]) == SAMPLE
        host, _, rest = args["url"].removeprefix(f"http://{self.name}-v").partition(".")
        assert rest == f"shop.svc.{self.platform.cluster_domain}" and host.split("-")[0] == args["version"]
        return self.predictions.get(host, REFUSED)

    def turn(self, after: float = 0.0) -> Decision:
        """What the engine does, `after` seconds later: a change of the stable Service wakes it once more."""
        before = self.selected
        decision = self.step(after)
        return decision if self.selected == before else self.step()

    def step(self, after: float = 0.0) -> Decision:
        """One reconcile, `after` seconds later."""
        self.now += timedelta(seconds=after)
        self.asked = []
        return self.reconcile()

    def deployment(self, number: int | str) -> Manifest:
        """Of a version, or of another server of it: 7, or 7-2 after a refresh."""
        return self.children["Deployment", f"{self.name}-v{number}"]

    def has(self, number: int | str) -> bool:
        return ("Deployment", f"{self.name}-v{number}") in self.children

    def up(self, *numbers: int | str) -> None:
        """The servers of these versions become available."""
        for number in numbers:
            self.put(make_available(self.deployment(number), self.now))

    def answers(self, number: int | str, version: int | str | None = None) -> None:
        """The server of a version answers predictions (as another version)."""
        told = str(number).split("-")[0] if version is None else version
        self.predictions[str(number)] = Answer({"version": str(told), "prediction": ["positive"]})

    def server_pod(self, number: int | str, **status: Any) -> None:
        """Replace all pods by one of a version, made now."""
        self.pods = [a_server_pod(self.deployment(number), at=self.now, **status)]

    def hangs(self, number: int | str) -> None:
        """A pod of a version runs, and never becomes ready."""
        waiting = {"name": "server", "ready": False, "restartCount": 0}
        self.server_pod(number, phase="Running", containerStatuses=[waiting])

    def go_live(self, number: int) -> None:
        """From nothing (or another version) to this version serving, drained and settled."""
        self.turn()
        self.up(number)
        self.answers(number)
        self.turn(5)
        self.turn(31)
        assert self.serving == number

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
    def selected(self) -> dict[str, str]:
        """What the stable Service selects."""
        service = self.children.get(("Service", self.name))
        return {} if service is None else dict(service["spec"]["selector"])

    @property
    def traffic(self) -> str | None:
        """The version that the stable Service selects."""
        service = self.children.get(("Service", self.name))
        return None if service is None else str(service["spec"]["selector"].get(names.LABEL_VERSION))

    def word(self, type_: str) -> tuple[str, str] | None:
        found = condition(self.obj, type_)
        return None if found is None else (found["status"], found["reason"])

    def message_of(self, type_: str) -> str:
        found = condition(self.obj, type_)
        assert found is not None, f"no condition {type_}"
        return str(found["message"])
