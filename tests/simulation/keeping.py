"""Jobs that wait and servers that answer are left alone, whatever the installation changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.cache import Key
from modelyard.resources.conditions import condition
from tests.simulation.clock import now
from tests.simulation.fake_api import FakeApi, Write
from tests.simulation.story import Story

if TYPE_CHECKING:
    from tests.simulation.operators import Operator

JUST_MADE = timedelta(seconds=2)


@dataclass(frozen=True)
class Seen:
    """What an operator knew of an owner's wishes when it began a reconcile of it."""

    asked: tuple[int, ...]
    """Generations of the owner and of all profiles."""
    held: frozenset[str]
    """Datasets that wait for a human."""


class Keeping:
    """Audits what an operator deletes or changes of its own, without anybody having asked for it."""

    def __init__(self, api: FakeApi, story: Story) -> None:
        self._api, self._story = api, story
        self._made_for: dict[str, Seen | None] = {}
        """Job (uid) -> what was seen by who made it."""
        self._seen: dict[tuple[str, Key], Seen] = {}
        """Operator and owner -> what it saw last."""

    def look(self, operator: Operator, key: Key) -> None:
        """Whenever an operator begins a reconcile."""
        cache = operator.engine.context.cache
        if key[0] in ("FineTuneJob", "Dataset") and (owner := cache.get(*key)) is not None:
            profiles = sorted(obj["metadata"]["generation"] for obj in cache.all("TrainingProfile"))
            held = frozenset(obj["metadata"]["name"] for obj in cache.all("Dataset") if condition(obj, names.STALLED))
            self._seen[operator.name, key] = Seen((owner["metadata"]["generation"], *profiles), held)

    def audit(self, write: Write) -> None:
        """Every write of an operator."""
        if not write.who.startswith("operator"):
            return
        if write.key[0] == "Job" and write.before is None and write.after is not None:
            self._made_for[write.after["metadata"]["uid"]] = self._seen.get((write.who, _owner_key(write.after)))
        if write.key[0] == "Job" and write.verb == "delete" and write.before is not None:
            self._makes_again(write.who, write.before)
        if write.key[0] in ("Deployment", "InferenceService") and write.before is not None and write.after is not None:
            self._changes(write.who, write.before, write.after)

    def _makes_again(self, who: str, job: Manifest) -> None:
        meta, status = job["metadata"], job.get("status", {})
        waits = not any(status.get(field) for field in ("ready", "failed", "succeeded", "conditions"))
        pods = [pod for pod in self._api.all("Pod") if _owner(pod) == meta["uid"]]
        began = any(pod.get("status", {}).get("phase") not in (None, "Pending") for pod in pods)
        owner = self._api.look(*_owner_key(job))
        if owner is None or owner["metadata"]["uid"] != _owner(job) or "deletionTimestamp" in owner["metadata"]:
            return
        waits = waits and not _is_needless(job, owner)
        waits = waits and not began and not any(map(_lacks_image, pods)) and not owner["spec"].get("suspend")
        if waits and not self._sees_more(who, job):
            self._story.breaks(f"{who} takes Job {meta['name']} out of its queue, and nobody asked for it")

    def _changes(self, who: str, before: Manifest, after: Manifest) -> None:
        meta = after["metadata"]
        deployment = meta.get("labels", {}).get(names.LABEL_DEPLOYMENT, "")
        stable = self._api.look("Service", meta["namespace"], deployment)
        selected = (stable or {}).get("spec", {}).get("selector", {}).get(names.LABEL_SERVER)
        if selected == meta["labels"].get(names.LABEL_SERVER) and _template(before) != _template(after):
            self._story.breaks(f"{who} starts the pods of {meta['name']} anew, which has the traffic")

    def _sees_more(self, who: str, job: Manifest) -> bool:
        """Somebody asked for something else than who made it knew of; or a Dataset is held that was not a moment ago.

        No base is read while a human is waited for, and a Job that has just been made has no place to lose.
        """
        made, seen = self._made_for.get(job["metadata"]["uid"]), self._seen.get((who, _owner_key(job)))
        if made is None or seen is None or made.asked != seen.asked:
            return True
        return made.held != seen.held and now() - moment(job["metadata"]["creationTimestamp"]) <= JUST_MADE


def moment(stamp: str) -> datetime:
    """A time of an object."""
    return datetime.fromisoformat(stamp)


def _owner_key(job: Manifest) -> Key:
    meta = job["metadata"]
    return _kind(job), meta["namespace"], meta["annotations"][names.ANNOTATION_OWNER]


def _is_needless(job: Manifest, owner: Manifest) -> bool:
    """A Job that reads a base: its content is known meanwhile, or other files lie there."""
    status, name = owner.get("status", {}), job["metadata"]["name"]
    base = status.get("base")
    return name.startswith("base-") and (
        "run" in status or (base is not None and names.hash_job(base["listing"]) != name)
    )


def _lacks_image(pod: Manifest) -> bool:
    found = pod.get("status", {}).get("containerStatuses", ())
    return any(status["state"].get("waiting", {}).get("reason") == "ImagePullBackOff" for status in found)


def _kind(job: Manifest) -> str:
    return {"finetunejob": "FineTuneJob", "dataset": "Dataset"}[job["metadata"]["labels"][names.LABEL_KIND]]


def _owner(child: Manifest) -> str:
    return str(child["metadata"]["ownerReferences"][0]["uid"])


def _template(server: Manifest) -> Manifest:
    """What its pods are made of; replicas aside."""
    spec = server["spec"]
    found = (
        spec["template"] if "template" in spec else {k: v for k, v in spec["predictor"].items() if k != "minReplicas"}
    )
    return dict(found)
