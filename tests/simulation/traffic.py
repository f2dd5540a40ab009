"""Nothing that answers is taken away, or left by traffic, before what replaces it was seen to answer."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from modelyard import names
from modelyard.api.modeldeployment import CANDIDATE, SERVING, version_in
from modelyard.decision import Manifest
from modelyard.engine.cache import Key
from tests.simulation.fake_api import FakeApi, Write
from tests.simulation.fake_servers import FakeServers
from tests.simulation.story import Story

if TYPE_CHECKING:
    from tests.simulation.operators import Operator

SERVERS = ("Deployment", "InferenceService")
Place = tuple[str, str, str]
"""Namespace, ModelDeployment, server."""


class Traffic:
    """Audits what an operator does to servers and stable Services, by what that operator had seen."""

    def __init__(self, api: FakeApi, servers: FakeServers, story: Story) -> None:
        self._api, self._servers, self._story = api, servers, story
        self._carried: set[Place] = set()
        """Servers that the stable Service ever selected."""
        self._seen: dict[str, dict[Key, set[str]]] = defaultdict(dict)
        """Operator -> ModelDeployment -> servers that answered when its reconcile began."""
        self._operators: dict[str, Operator] = {}

    def follow(self, operator: Operator) -> None:
        """From now on it writes, too."""
        self._operators[operator.name] = operator

    def audit(self, write: Write) -> None:
        """Every write of an operator."""
        kind = write.key[0]
        if kind in SERVERS and write.verb == "delete" and write.before is not None:
            self._removes(write.who, write.before)
        if kind == "Service":
            self._points(write)
        if kind == "ModelDeployment" and write.verb == "status" and write.after is not None:
            self._says(write.after)

    def look(self, operator: Operator, key: Key) -> None:
        """Whenever an operator begins a reconcile: remember which servers it sees answer."""
        if key[0] == "ModelDeployment":
            self._seen[operator.name][key] = self._answering(operator, key)

    def _answering(self, operator: Operator, key: Key) -> set[str]:
        """Servers of which this operator sees an available pod."""
        known = operator.engine.context.cache.all("Deployment")
        return {
            labels[names.LABEL_SERVER]
            for obj in known
            if (labels := obj["metadata"].get("labels", {})).get(names.LABEL_DEPLOYMENT) == key[2]
            and obj["metadata"]["namespace"] == key[1]
            and obj.get("status", {}).get("availableReplicas", 0) > 0
        }

    def _saw(self, who: str, namespace: str, deployment: str, version: str) -> bool:
        """When its reconcile began, or by now: answers of facts may come late."""
        key = ("ModelDeployment", namespace, deployment)
        now = self._answering(self._operators[who], key)
        return version in self._seen[who].get(key, set()) | now

    def _sees(self, who: str, namespace: str, deployment: str, version: str) -> bool:
        """When its reconcile began, and still."""
        key = ("ModelDeployment", namespace, deployment)
        return version in self._seen[who].get(key, set()) & self._answering(self._operators[who], key)

    def _points(self, write: Write) -> None:
        """A stable Service bears the name of its ModelDeployment."""
        old, new = (_selected(obj) for obj in (write.before, write.after))
        ours = write.who in self._operators
        if old is not None and write.after is None and ours:
            self._story.breaks(f"{write.who} deletes the stable Service {write.key[2]}")
        if new is None:
            return
        namespace, deployment = write.key[1:]
        self._carried.add((namespace, deployment, str(new)))
        away = old not in (None, new) and self._answers(namespace, deployment, old)
        if ours and away and not self._saw(write.who, namespace, deployment, new):
            self._story.breaks(f"{deployment} leaves version {old}, which answers, for {new}, which nobody saw answer")
        if ours and away and self._sees(write.who, namespace, deployment, str(old)):
            self._leaves_for_a_candidate(namespace, deployment, str(old), str(new))

    def _leaves_for_a_candidate(self, namespace: str, deployment: str, old: str, new: str) -> None:
        """Only what does not answer is left for whatever does; else for what the spec asks for, once it was tried."""
        found = self._api.look("ModelDeployment", namespace, deployment)
        told = (found or {}).get("status", {}).get("versions", ())
        state = next((entry["state"] for entry in told if entry.get("server") == new), "")
        if found is not None and state not in (CANDIDATE, SERVING):
            self._story.breaks(f"{deployment} leaves version {old}, which is seen to answer, for {new}: {state}")

    def _stable(self, namespace: str, deployment: str) -> Manifest | None:
        """The stable Service, unless it is left of a ModelDeployment that is gone and was made anew under the name."""
        found = self._api.look("Service", namespace, deployment)
        owner = self._api.look("ModelDeployment", namespace, deployment)
        if found is None or owner is None:
            return found
        owners = {reference["uid"] for reference in found["metadata"].get("ownerReferences", ())}
        return found if not owners or owner["metadata"]["uid"] in owners else None

    def _removes(self, who: str, server: Manifest) -> None:
        meta, labels = server["metadata"], server["metadata"].get("labels", {})
        namespace, deployment = meta["namespace"], labels.get(names.LABEL_DEPLOYMENT, "")
        number = labels.get(names.LABEL_SERVER, "")
        stable = _selected(self._stable(namespace, deployment))
        carried = (namespace, deployment, number) in self._carried
        if who not in self._operators or stable is None or not carried or not self._is_up(server):
            return
        if str(stable) == number and self._answers(namespace, deployment, stable, besides=server):
            return  # another backend runs it by now
        if str(stable) == number:
            self._story.breaks(f"{who} removes {server['kind']} {meta['name']}, to which the stable Service points")
        elif not self._saw(who, namespace, deployment, stable):
            text = f"{who} removes {meta['name']}, which answers, while nobody saw version {stable} answer"
            self._story.breaks(text)

    def _says(self, obj: Manifest) -> None:
        """A version that is said to serve can be reached at the stable address, or could be a moment ago."""
        meta = obj["metadata"]
        service = self._api.look("Service", meta["namespace"], meta["name"])
        said = version_in(obj["status"], SERVING)
        if service is None or said.get("weight", 0) == 0:
            return
        if service["metadata"]["uid"] not in self._servers.reached:
            self._story.breaks(f"{meta['name']} says that {said['number']} serves; its address has never answered")

    def _is_up(self, server: Manifest) -> bool:
        """By the Deployment itself, or by the one that KServe made of it."""
        key = server["metadata"]["namespace"], server["metadata"]["name"]
        name = key[1] if server["kind"] == "Deployment" else f"{key[1]}-predictor"
        found = self._api.look("Deployment", key[0], name) or server
        return int(found.get("status", {}).get("availableReplicas", 0)) > 0

    def _answers(self, namespace: str, deployment: str, number: Any, besides: Manifest | None = None) -> bool:
        """In truth: a server of this version, other than one, has an available pod."""
        other = (besides or {}).get("metadata", {}).get("name")
        kind = (besides or {}).get("kind")
        for obj in self._api.all("Deployment"):
            labels, meta = obj["metadata"].get("labels", {}), obj["metadata"]
            same = (meta["namespace"], labels.get(names.LABEL_DEPLOYMENT)) == (namespace, deployment)
            mine = meta["name"] == (other if kind == "Deployment" else f"{other}-predictor")
            up = obj.get("status", {}).get("availableReplicas", 0) > 0
            if same and labels.get(names.LABEL_SERVER) == str(number) and up and not mine:
                return True
        return False


def _selected(service: Manifest | None) -> str | None:
    """The server that a stable Service selects; None of any other Service."""
    selector = (service or {}).get("spec", {}).get("selector", {})
    stable = service is not None and service["metadata"]["name"] == selector.get(names.LABEL_DEPLOYMENT)
    return selector.get(names.LABEL_SERVER) if stable else None
