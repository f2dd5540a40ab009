"""What must hold at every write, whatever goes wrong; a broken promise ends the scenario."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from tests.served import number_in
from tests.simulation import clock
from tests.simulation.fake_api import FakeApi, Write
from tests.simulation.fake_servers import FakeServers
from tests.simulation.fake_store import BUCKET, FakeStore
from tests.simulation.keeping import Keeping
from tests.simulation.operators import LEASE_SECONDS, Operator
from tests.simulation.results import record_of
from tests.simulation.schema import OURS
from tests.simulation.story import Story
from tests.simulation.traffic import Traffic

OPERATOR = "operator"
OVERLAP = LEASE_SECONDS
"""Seconds for which one who was cut off may not know yet that another one leads."""
GOOD = (names.READY, names.VERIFIED)
BAD = (names.RECONCILING, names.STALLED, names.OUT_OF_DATE)
"""Conditions whose False is bad news, and which may therefore stay."""
TERMINAL = ("Succeeded", "Failed")


class Invariants:
    """Audits every write of everyone."""

    def __init__(self, api: FakeApi, store: FakeStore, servers: FakeServers, story: Story) -> None:
        self._api, self._store, self._servers, self._story = api, store, servers, story
        self._runs_of: dict[tuple[str, str, int], str] = {}
        self._numbers_of: dict[tuple[str, str, str], set[int]] = defaultdict(set)
        self._gone: set[tuple[str, str, int]] = set()
        """Numbers whose artifacts were deleted."""
        self._ever_ready: set[tuple[str, str, int]] = set()
        self._ever_passed: set[tuple[str, str, int]] = set()
        self._asked: dict[str, tuple[int, int]] = {}
        """Run -> attempt and epochs that it was made for."""
        self._pinned: set[tuple[str, str, str]] = set()
        """(namespace, ModelDeployment, version) that a human asked for by name: then no gate counts."""
        self._traffic, self._keeping = Traffic(api, servers, story), Keeping(api, story)
        api.auditors.append(self._audit)
        api.auditors.append(self._traffic.audit)
        api.auditors.append(self._keeping.audit)

    def follow(self, operator: Operator) -> None:
        """Watch what an operator sends while another one leads."""
        operator.client.on_send = lambda key: self._sends(operator, key)
        operator.questions.on_effect = lambda name, args: self._takes_effect(operator, name, args)
        self._traffic.follow(operator)
        operator.on_reconcile = lambda key: self._looks(operator, key)

    def _looks(self, operator: Operator, key: Key) -> None:
        self._traffic.look(operator, key)
        self._keeping.look(operator, key)

    def _sends(self, operator: Operator, key: Key) -> None:
        holder, since = self._api.leader
        if operator.guard is not None and operator.name != holder and clock.seconds() - since > OVERLAP:
            led = clock.seconds() - since
            self._story.breaks(f"{operator.name} writes {key}, but {holder or 'nobody'} has led for {led:.0f} s")

    def _takes_effect(self, operator: Operator, name: str, args: Mapping[str, str]) -> None:
        """The store is changed by who leads, and only once the status says why."""
        self._sends(operator, (name, "", str(dict(args))))
        if name == "sweep" and not self._has_ended(args["prefix"]):
            self._story.breaks(f"{args['prefix']} is swept before the status says that it has ended")
        if name == "delete_version":
            version = self._api.look("ModelVersion", args["namespace"], f"{args['model']}-{args['number']}")
            if version is not None and _word(version) != names.DELETING:
                self._story.breaks(f"{args['prefix']} is deleted, its version says {_word(version)}")

    def _has_ended(self, prefix: str) -> bool:
        """What the status says of a run, or a preparation; what its object took along says nothing."""
        _, namespace, kind, name, *rest = prefix.strip("/").split("/")
        if kind == "datasets":
            found = self._api.look("Dataset", namespace, name)
            status = {} if found is None else found.get("status", {})
            return status.get("prepareId") != rest[-1] or "digest" in status or "failure" in status
        runs = [job.get("status", {}).get("run") or {} for job in self._api.all("FineTuneJob")]
        states = [run["state"] for run in runs if run.get("id") == rest[-1]]
        return not states or any(state in TERMINAL for state in states)

    def _audit(self, write: Write) -> None:
        kind = write.key[0]
        if write.who.startswith(OPERATOR) and write.before is not None and kind not in OURS:
            self._operator_keeps_off_strangers(write.before)
        if kind == "Job" and write.after is not None:
            self._one_live_job(write.after)
        if kind == "Pod" and write.after is not None:
            self._one_live_pod(write.after)
        if kind == "Service" and write.after is not None:
            self._serves_only_proven(write.before, write.after)
        if kind == "ModelDeployment" and write.after is not None and "version" in write.after["spec"]["model"]:
            self._pinned.add((*write.key[1:], str(write.after["spec"]["model"]["version"])))
        if kind in OURS:
            self._audit_ours(write)

    def _audit_ours(self, write: Write) -> None:
        if write.before is not None and write.after is not None:
            self._goes_forward(write.before, write.after)
        if write.verb == "status" and write.after is not None:
            self._conditions_are_kstatus(write.after)
            self._run_is_of_its_spec(write.after)
        if write.key[0] == "ModelVersion" and write.after is not None:
            self._version(write)
        if not write.who.startswith(OPERATOR):
            return
        self._operator_keeps_off(write)
        if write.key[0] == "ModelVersion" and write.after is None and write.before is not None:
            self._in_use(write.before)
            self._takes_its_files_along(write.before)

    def _operator_keeps_off_strangers(self, before: Manifest) -> None:
        if names.LABEL_KIND not in before["metadata"].get("labels", {}):
            self._story.breaks(f"the operator writes {key_of(before)}, which is somebody else's")

    def _in_use(self, before: Manifest) -> None:
        """A version that the operator lets go takes its artifacts along: nobody may serve it."""
        spec, namespace = before["spec"], before["metadata"]["namespace"]
        self._gone.add((namespace, spec["model"], spec["number"]))
        for deployment in self._api.all("ModelDeployment"):
            same = deployment["metadata"]["namespace"] == namespace
            serves = number_in(deployment) == spec["number"]
            if same and serves and deployment["spec"]["model"]["name"] == spec["model"]:
                self._story.breaks(f"{before['metadata']['name']} goes, {deployment['metadata']['name']} serves it")

    def _takes_its_files_along(self, before: Manifest) -> None:
        """Nothing of a version that was to go with its artifacts is left, unless its run publishes once more."""
        spec, meta = before["spec"], before["metadata"]
        model, run = spec["model"], spec["lineage"]["trained"]["run"]
        prefix = layout.version_prefix(layout.run_prefix(meta["namespace"], model, run))
        again = any(
            found.get("id") == run and found["state"] not in TERMINAL
            for found in map(_run_of, self._api.all("FineTuneJob"))
        )
        if spec["deletionPolicy"] == "delete" and not again and self._store.list(BUCKET, prefix):
            self._story.breaks(f"{meta['name']} goes, its artifacts stay")

    def _one_live_job(self, job: Manifest) -> None:
        run = job["metadata"].get("labels", {}).get(names.LABEL_RUN)
        if run is None or not _is_live(job):
            return
        same = [
            other["metadata"]["name"]
            for other in self._api.all("Job")
            if other["metadata"].get("labels", {}).get(names.LABEL_RUN) == run
            and _owner_kind(other) == _owner_kind(job) == "finetunejob"
            and _is_live(other)
        ]
        if len(same) > 1:
            self._story.breaks(f"run {run} has {len(same)} live Jobs: {same}")

    def _one_live_pod(self, pod: Manifest) -> None:
        run = pod["metadata"].get("labels", {}).get(names.LABEL_RUN)
        if run is None or pod.get("status", {}).get("phase") != "Running" or _owner_kind(pod) != "finetunejob":
            return
        same = [
            other["metadata"]["name"]
            for other in self._api.all("Pod")
            if other["metadata"].get("labels", {}).get(names.LABEL_RUN) == run
            and other.get("status", {}).get("phase") == "Running"
        ]
        if len(same) > 1:
            self._story.breaks(f"run {run} has {len(same)} running pods: {same}")

    def _serves_only_proven(self, before: Manifest | None, after: Manifest) -> None:
        """The stable Service bears the name of its ModelDeployment."""
        selector = after["spec"]["selector"]
        deployment, namespace = selector.get(names.LABEL_DEPLOYMENT), after["metadata"]["namespace"]
        same = before is not None and before["spec"]["selector"] == selector
        if after["metadata"]["name"] != deployment or same:
            return
        version = selector[names.LABEL_VERSION]
        if (namespace, deployment, selector[names.LABEL_SERVER]) not in self._servers.answered:
            self._story.breaks(f"{deployment} sends traffic to version {version}, which never answered as itself")
        model = after["metadata"]["labels"][names.LABEL_MODEL]
        if (namespace, model, int(version)) not in self._ever_ready:
            self._story.breaks(f"{deployment} sends traffic to version {version} of {model}, which never was Ready")
        asked = self._api.look("ModelDeployment", namespace, deployment)
        follows = asked is not None and "version" not in asked["spec"]["model"] and not self._was_pinned(asked, version)
        if follows and (namespace, model, int(version)) not in self._ever_passed:
            self._story.breaks(f"{deployment} follows to version {version} of {model}, which never passed its gate")

    def _run_is_of_its_spec(self, obj: Manifest) -> None:
        """Another attempt, or other hyper-parameters, are another run."""
        status, spec = obj["status"], obj["spec"]
        run = status.get("run")
        if obj["kind"] != "FineTuneJob" or run is None or status["observedGeneration"] != obj["metadata"]["generation"]:
            return
        content = record_of(self._store, run["pinned"]["base"]["uri"]).digest
        if run["pinned"]["base"]["digest"] != content:
            self._story.breaks(f"run {run['id']} is of base {run['pinned']['base']['digest']}, which is {content}")
        trained = run["pinned"]["train"]["epochs"]
        if trained != spec["train"].get("epochs", trained):
            self._story.breaks(f"run {run['id']} trains {trained} epochs, the spec says {spec['train']['epochs']}")
        asked = (spec["attempt"], trained)
        if self._asked.setdefault(run["id"], asked) != asked:
            self._story.breaks(f"run {run['id']} is of attempt and epochs {asked} and of {self._asked[run['id']]}")

    def _conditions_are_kstatus(self, obj: Manifest) -> None:
        """Ready always; what would be well if it were False is not there while it is False."""
        found = {c["type"]: c["status"] for c in obj["status"].get("conditions", ())}
        wrong = [type_ for type_, word in found.items() if type_ not in GOOD and word != "True"]
        wrong += [type_ for type_ in found if type_ not in (*GOOD, *BAD)]
        if names.READY not in found or wrong:
            self._story.breaks(f"{obj['kind']} {obj['metadata']['name']} has conditions {found}")

    def _goes_forward(self, before: Manifest, after: Manifest) -> None:
        old, new = before.get("status", {}), after.get("status", {})
        if new.get("observedGeneration", -1) < old.get("observedGeneration", -1):
            self._story.breaks(f"observedGeneration of {after['metadata']['name']} goes back")
        old_run, new_run = old.get("run") or {}, new.get("run") or {}
        ended = old_run.get("state") in TERMINAL and old_run.get("id") == new_run.get("id")
        if ended and old_run.get("specHash") == new_run.get("specHash") and old_run["state"] != new_run["state"]:
            self._story.breaks(f"run {old_run['id']} was {old_run['state']} and is {new_run['state']}")

    def _operator_keeps_off(self, write: Write) -> None:
        before, after = write.before, write.after
        if write.verb == "delete" and write.key[0] != "Dataset":
            self._story.breaks(f"the operator deletes {write.key}")
        if before is None or names.LABEL_KIND in before["metadata"].get("labels", {}):
            return
        if after is not None and _users_part(before) != _users_part(after):
            self._story.breaks(f"the operator changes spec, labels or annotations of {write.key}")

    def _version(self, write: Write) -> None:
        obj = write.after or {}
        spec, namespace = obj["spec"], write.key[1]
        if write.before is None:
            self._number_is_new(namespace, spec)
        if obj.get("status", {}).get("gate") == "passed":
            self._ever_passed.add((namespace, spec["model"], spec["number"]))
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in obj.get("status", {}).get("conditions", ()))
        if not ready:
            return
        self._ever_ready.add((namespace, spec["model"], spec["number"]))

    def _was_pinned(self, deployment: Manifest, version: str) -> bool:
        meta = deployment["metadata"]
        return (meta["namespace"], meta["name"], version) in self._pinned

    def _number_is_new(self, namespace: str, spec: dict[str, Any]) -> None:
        model, number, run = spec["model"], spec["number"], spec["lineage"]["trained"]["run"]
        first = self._runs_of.setdefault((namespace, model, number), run)
        if first != run:
            self._story.breaks(f"number {number} of {model} was of run {first} and is of {run}")
        if (namespace, model, number) in self._gone:
            self._story.breaks(f"number {number} of {model} was spent and is used again")
        numbers = self._numbers_of[namespace, model, run]
        numbers.add(number)
        unspent = [n for n in numbers if self._store.stat(BUCKET, layout.spent_key(namespace, model, n)) is None]
        if len(unspent) > 1:
            self._story.breaks(f"run {run} of {model} has numbers {sorted(unspent)}")


def _run_of(job: Manifest) -> dict[str, Any]:
    return job.get("status", {}).get("run") or {}


def _word(obj: Manifest) -> str:
    """Reason of Ready."""
    found = obj.get("status", {}).get("conditions", ())
    return next((str(c["reason"]) for c in found if c["type"] == names.READY), "")


def _is_live(job: Manifest) -> bool:
    ended = any(c["type"] in ("Complete", "Failed") for c in job.get("status", {}).get("conditions", ()))
    return not ended and not job["spec"].get("suspend") and "deletionTimestamp" not in job["metadata"]


def _owner_kind(obj: Manifest) -> str:
    return str(obj["metadata"].get("labels", {}).get(names.LABEL_KIND, ""))


def _users_part(obj: Manifest) -> tuple[Any, ...]:
    return obj.get("spec"), obj["metadata"].get("labels"), obj["metadata"].get("annotations")
