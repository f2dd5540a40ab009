"""A user who acts by seed: creates, changes, suspends, re-applies, deletes, pins, breaks and mends things."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine.cache import Key, key_of
from modelyard.engine.kube import KubeError
from tests.simulation import wishes
from tests.simulation.fake_api import FakeApi
from tests.simulation.fake_store import BUCKET, FakeStore
from tests.simulation.fault_points import FaultPoints
from tests.simulation.kinds import Kind
from tests.simulation.schema import clone
from tests.simulation.story import Story

WHO = "user"
IN_THEME = {
    "training": ("new_job", "twin_job", "toggle_suspend", "delete_child", "delete_and_apply"),
    "serving": (
        "change_epochs",
        "raise_attempt",
        "edit_gate",
        "follow_or_pin",
        "scale",
        "corrupt",
        "start_over",
        "delete_version",
        "delete_child",
        "take_down",
    ),
}
"""What a user of that theme does more often."""
WEIGHTS = {
    "new_dataset": 4,
    "new_job": 10,
    "new_deployment": 5,
    "twin_job": 2,
    "change_epochs": 4,
    "raise_attempt": 4,
    "toggle_suspend": 5,
    "change_resources": 3,
    "edit_gate": 4,
    "raise_revision": 2,
    "apply_again": 4,
    "delete_and_apply": 4,
    "delete_for_good": 2,
    "delete_child": 5,
    "take_down": 4,
    "follow_or_pin": 5,
    "scale": 2,
    "change_backend": 2,
    "delete_version": 4,
    "corrupt": 2,
    "start_over": 2,
    "squat": 2,
    "mirror_base": 2,
    "edit_profile": 2,
}
"""What a user does, and how often."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHILDREN = ("Job", "ConfigMap", "Service", "Deployment", "InferenceService", "Pod")


class User:
    """Keeps a folder of manifests, as in git, and sometimes works by hand."""

    def __init__(self, api: FakeApi, store: FakeStore, fault_points: FaultPoints, story: Story, kind: Kind) -> None:
        self.api, self.store, self.story, self.theme = api, store, story, kind.theme
        self._fault_points, self.rng = fault_points, fault_points.rng("user", 0)
        self.folder: dict[Key, Manifest] = {}
        self.deleted_versions: set[str] = set()
        self._backends = ("deployment", "kserve") if kind.kserve else ("deployment",)
        self.harmed = False
        """True once artifacts were changed or deleted."""
        self._turn, self._names = 0, 0
        often = IN_THEME.get(kind.theme, ())
        self._weights = {name: weight * (3 if name in often else 1) for name, weight in WEIGHTS.items()}

    def begin(self, more: float) -> None:
        """What every scenario starts with: a Dataset, a job and a server; `more` of each by chance."""
        if self.rng.random() < 0.6 or not self._fault_points.comes_true("user/0/late-base"):
            self.repair()
        else:
            self.rng.choice((self.apply_profile, self.upload_base))()
        self.new_dataset()
        for manifest in wishes.road(self._name("job"), self._name("serve"), dataset="data-0a"):
            self._apply(manifest)
        for action in (self.new_dataset, self.new_job, self.new_job, self.new_deployment):
            if self.rng.random() < more:
                action()

    def act(self) -> None:
        """One thing, by chance; a turn's names and choices are its own, whatever other turns did."""
        self._turn, self._names = self._turn + 1, 0
        self.rng = self._fault_points.rng("user", self._turn)
        name = self.rng.choices(list(self._weights), list(self._weights.values()))[0]
        if self._fault_points.comes_true(f"user/{self._turn}/{name}"):
            getattr(self, name)()

    def repair(self) -> None:
        """All that everything needs is there."""
        self.apply_profile()
        self.upload_base()

    def apply_profile(self) -> None:
        """The default profile."""
        self._apply(wishes.profile())

    def upload_base(self) -> None:
        """The base model's folder."""
        self.story.tell("user uploads the base model")
        for name, size in {"config.json": 700, "tokenizer.json": 9000, "model.safetensors": 90_000_000}.items():
            self.store.put_sized("base", f"minilm/{name}", size)

    def mirror_base(self) -> None:
        """The same files, copied with other part sizes."""
        self.story.tell("user mirrors the base model")
        self.store.mirror("base", "minilm/", self.rng.randrange(5, 64))

    def new_dataset(self) -> None:
        self._apply(wishes.dataset(self._name("data"), self.rng))

    def new_job(self) -> None:
        datasets = [key[2] for key in self.folder if key[0] == "Dataset"]
        self._apply(wishes.job(self._name("job"), self.rng, datasets, self._models))

    def twin_job(self) -> None:
        """The very same run under another name."""
        if job := self._pick("FineTuneJob"):
            shared = clone(job)
            shared["spec"]["model"] = {"name": job["spec"].get("model", {}).get("name", job["metadata"]["name"])}
            shared["metadata"]["name"] = self._name("twin")
            self._apply(shared)

    def new_deployment(self) -> None:
        self._apply(wishes.deployment(self._name("serve"), self.rng, self._models))

    def change_epochs(self) -> None:
        self._change("FineTuneJob", lambda spec: spec.update(train={"epochs": self.rng.randrange(1, 4)}))

    def raise_attempt(self) -> None:
        self._change("FineTuneJob", lambda spec: spec.update(attempt=spec.get("attempt", 1) + 1))

    def toggle_suspend(self) -> None:
        self._change("FineTuneJob", lambda spec: spec.update(suspend=not spec.get("suspend", False)))

    def change_resources(self) -> None:
        memory = self.rng.choice(("1Gi", "2048Mi", "3Gi"))
        self._change("FineTuneJob", lambda spec: spec.update(resources={"memory": memory, "cpu": 0.5}))

    def edit_gate(self) -> None:
        gate = {"require": [{"metric": "macro_f1", "min": round(self.rng.uniform(0.3, 1.0), 2)}]}
        self._change("FineTuneJob", lambda spec: spec.update(evaluate={"gate": gate}))

    def raise_revision(self) -> None:
        self._change("Dataset", lambda spec: spec.update(revision=spec.get("revision", 1) + 1))

    def edit_profile(self) -> None:
        self._change("TrainingProfile", lambda spec: spec.update(retries=self.rng.randrange(4)))

    def scale(self) -> None:
        replicas = self.rng.randrange(1, 4)
        self._change("ModelDeployment", lambda spec: spec.update(serve={"replicas": {"min": replicas}}))

    def change_backend(self) -> None:
        backend = self.rng.choice(self._backends)
        self._change("ModelDeployment", lambda spec: spec.update(serve={"backend": backend}))

    def follow_or_pin(self) -> None:
        def change(spec: dict[str, Any]) -> None:
            name = spec["model"]["name"]
            numbers = [v["spec"]["number"] for v in self.api.all("ModelVersion") if v["spec"]["model"] == name]
            follow = self.rng.random() < 0.5
            rest = {"follow": "latest-passed"} if follow else {"version": self.rng.choice((*numbers, 1, 2))}
            spec["model"] = {"name": name, **rest}

        self._change("ModelDeployment", change)

    def apply_again(self) -> None:
        """Nothing changes."""
        for manifest in self.folder.values():
            self._apply(manifest)

    def delete_and_apply(self) -> None:
        if self.folder:
            key = self.rng.choice(sorted(self.folder))
            self._delete(key)
            self._apply(self.folder[key])

    def delete_for_good(self) -> None:
        if key := self._key(self.rng.choice(("FineTuneJob", "Dataset", "ModelDeployment"))):
            del self.folder[key]
            self._delete(key)

    def delete_child(self) -> None:
        """By hand, what the operator or a controller made."""
        children = sorted(key_of(obj) for kind in CHILDREN for obj in self.api.all(kind))
        if children:
            self._delete(self.rng.choice(children))

    def refresh(self, value: str, rng: Random) -> None:
        """Ask for the server of a ModelDeployment to be moved to what the installation has now."""
        keys = sorted(key for key in self.folder if key[0] == "ModelDeployment")
        if keys:
            manifest = clone(self.folder[rng.choice(keys)])
            manifest["metadata"].setdefault("annotations", {})[names.ANNOTATION_REFRESH] = value
            self._apply(manifest)

    def take_down(self) -> None:
        """By hand, the server that has the traffic."""
        selected = [(obj["metadata"]["namespace"], obj["spec"]["selector"]) for obj in self.api.all("Service")]
        found = (obj for kind in ("Deployment", "InferenceService") for obj in self.api.all(kind))
        servers = sorted(key_of(obj) for obj in found if (obj["metadata"]["namespace"], _marks(obj)) in selected)
        if servers:
            self._delete(self.rng.choice(servers))

    def delete_version(self) -> None:
        """Some keep the artifacts, some take them along."""
        if versions := sorted(key_of(obj) for obj in self.api.all("ModelVersion")):
            key = self.rng.choice(versions)
            if self.rng.random() < 0.5:
                self._delete_with_artifacts(key)
            else:
                self.deleted_versions.add(key[2])
                self._delete(key)

    def start_over(self) -> None:
        """A version goes with its artifacts, and the job that made it is applied anew."""
        if versions := sorted(key_of(obj) for obj in self.api.all("ModelVersion")):
            key = self.rng.choice(versions)
            version = self.api.look(*key)
            assert version is not None
            self._delete_with_artifacts(key)
            job = ("FineTuneJob", key[1], version["spec"]["lineage"]["trained"]["job"])
            if job in self.folder:
                self._delete(job)
                self._apply(self.folder[job])

    def squat(self) -> None:
        """Somebody else's object has the name that a child will bear."""
        name = f"serve-{self._turn}{LETTERS[self._names]}"
        service = {"selector": {"app": "mine"}, "ports": [{"port": 80}]}
        self._apply(wishes.plain("v1", "Service", name, {"spec": service}))
        self.new_deployment()

    def leave(self) -> None:
        """What stood in the operator's way goes."""
        for service in [obj for obj in self.api.all("Service") if is_users(obj)]:
            self._delete(key_of(service))

    def _delete_with_artifacts(self, key: Key) -> None:
        self.harmed = True
        self.deleted_versions.add(key[2])
        self.api.patch(*key, {"spec": {"deletionPolicy": "delete"}}, "", WHO)
        asyncio.get_running_loop().call_later(self.rng.uniform(0.0, 20.0), self._delete, key)

    def corrupt(self) -> None:
        """Bytes of a version change in the store."""
        if versions := sorted(key_of(obj) for obj in self.api.all("ModelVersion")):
            version = self.api.look(*self.rng.choice(versions))
            assert version is not None
            self.story.tell("user corrupts %s", version["metadata"]["name"])
            self.harmed = True
            self.store.corrupt(version["spec"]["uri"].removeprefix(f"s3://{BUCKET}/"))

    @property
    def _models(self) -> tuple[str, ...]:
        return wishes.MODELS[:1] if self.theme == "serving" else wishes.MODELS

    def _name(self, word: str) -> str:
        self._names += 1
        return f"{word}-{self._turn}{LETTERS[self._names - 1]}"

    def _key(self, kind: str) -> Key | None:
        keys = sorted(key for key in self.folder if key[0] == kind)
        return self.rng.choice(keys) if keys else None

    def _pick(self, kind: str) -> Manifest | None:
        key = self._key(kind)
        return self.folder[key] if key else None

    def _change(self, kind: str, change: Callable[[dict[str, Any]], None]) -> None:
        if manifest := self._pick(kind):
            changed = clone(manifest)
            change(changed["spec"])
            self._apply(changed)

    def _apply(self, manifest: Manifest) -> None:
        key = key_of(manifest)
        self.folder[key] = manifest
        before = self.api.look(*key)
        if before is not None and "deletionTimestamp" in before["metadata"]:
            return
        self.story.tell("user applies %s %s", key, manifest.get("spec"))
        self.api.apply(manifest, WHO)

    def _delete(self, key: Key) -> None:
        self.story.tell("user deletes %s", key)
        try:
            self.api.delete(*key, "", WHO)
        except KubeError as fault:
            self.story.tell("user: %s", fault)


def is_users(obj: Manifest) -> bool:
    """True for what a user wrote, not the operator."""
    return names.LABEL_KIND not in obj["metadata"].get("labels", {})


def _marks(server: Manifest) -> dict[str, str]:
    """What a Service selects its pods by."""
    labels = server["metadata"].get("labels", {})
    return {
        name: labels[name]
        for name in (names.LABEL_DEPLOYMENT, names.LABEL_VERSION, names.LABEL_SERVER)
        if name in labels
    }
