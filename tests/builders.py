"""Objects for tests, as the API server shows them: dicts with a few fluent changes; each change gives a new object."""

from __future__ import annotations

import copy
import json
from typing import Any, Self

from modelyard import names

NAMESPACE = "team-a"
AT = "2026-11-22T10:00:00Z"
SHA = "sha256:" + "a" * 64
ENDPOINT = "http://store:9000"


class Built(dict[str, Any]):
    """A Kubernetes object."""

    def but(self, path: str, value: Any) -> Self:
        """The same with a dotted path set, or removed when the value is None."""
        new = copy.deepcopy(self)
        at: dict[str, Any] = new
        *folders, last = path.split(".")
        for folder in folders:
            at = at.setdefault(folder, {})
        if value is None:
            at.pop(last, None)
        else:
            at[last] = value
        return new

    def status(self, **fields: Any) -> Self:
        """With these fields added to the status."""
        return self.but("status", {**self.get("status", {}), **fields})

    def condition(self, type_: str, status: str = "True", reason: str = "", message: str = "") -> Self:
        """With a condition added or replaced."""
        old = [c for c in self.get("status", {}).get("conditions", []) if c["type"] != type_]
        new = {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}
        return self.status(conditions=[*old, new])

    def generation(self, number: int) -> Self:
        """With another generation of the spec."""
        return self.but("metadata.generation", number)

    def leaving(self) -> Self:
        """Being deleted."""
        return self.but("metadata.deletionTimestamp", AT)

    def owned_by(self, owner: dict[str, Any]) -> Self:
        """With a controlling ownerReference."""
        reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        meta = owner["metadata"]
        return self.but("metadata.ownerReferences", [{**reference, "name": meta["name"], "uid": meta["uid"]}])

    def label(self, name: str, value: str) -> Self:
        """With a label."""
        new = copy.deepcopy(self)
        new["metadata"].setdefault("labels", {})[name] = value
        return new


def an_object(api: str, kind: str, name: str, spec: dict[str, Any], namespace: str = NAMESPACE) -> Built:
    """Any object; the uid follows from kind and name."""
    meta = {"name": name, "uid": f"uid-{kind.lower()}-{name}", "generation": 1, "creationTimestamp": AT}
    if namespace:
        meta["namespace"] = namespace
    return Built(apiVersion=api, kind=kind, metadata=meta, spec=spec)


class FineTuneJob(Built):
    """A FineTuneJob."""

    def spec(self, **fields: Any) -> Self:
        """With spec fields replaced, as a user's edit: the generation goes up."""
        new = self.but("spec", {**self["spec"], **fields})
        return new.generation(self["metadata"]["generation"] + 1)


class Dataset(FineTuneJob):
    """A Dataset."""

    def prepared(self, digest: str = "sha256:" + "d" * 64, prefix: str = "ns/team-a/datasets/reviews/1234/") -> Self:
        """Ready for its generation."""
        ready = self.condition("Ready", "True", names.PREPARED)
        rows = {"train": 800, "validation": 100, "test": 100}
        seen = self["metadata"]["generation"]
        return ready.status(digest=digest, prefix=prefix, rows=rows, observedGeneration=seen)

    def failed(self, reason: str = names.BAD_DATA, message: str = "column stars is missing") -> Self:
        """Stalled."""
        bad = self.condition("Ready", "False", reason, message).condition("Stalled", "True", reason, message)
        return bad.status(observedGeneration=self["metadata"]["generation"])


class Job(Built):
    """A batch/v1 Job."""

    def succeeded(self) -> Self:
        """Complete."""
        return self.status(succeeded=1, active=0).condition("Complete")

    def failed(self, reason: str = "BackoffLimitExceeded", message: str = "Job has reached the limit") -> Self:
        """Given up by the Job controller."""
        return self.status(failed=1, active=0).condition("Failed", "True", reason, message)


class Pod(Built):
    """A pod of a Job (container trainer); Pending until told otherwise."""

    def at(self, time: str) -> Self:
        """Created at that time of the day, for example 10:05:00."""
        return self.but("metadata.creationTimestamp", f"2026-11-22T{time}Z")

    def running(self) -> Self:
        """Its container runs."""
        return self._container({"running": {"startedAt": AT}}, "Running", ready=True)

    def waiting(self, reason: str, message: str = "") -> Self:
        """Its container cannot start."""
        return self._container({"waiting": {"reason": reason, "message": message}}, "Pending")

    def exited(self, code: int, message: str = "", reason: str = "Error") -> Self:
        """Its container ended."""
        ended = {"exitCode": code, "reason": reason, "message": message}
        return self._container({"terminated": ended}, "Succeeded" if code == 0 else "Failed")

    def told(self, code: int, reason: str, message: str) -> Self:
        """Ended with an Outcome of our own programs."""
        return self.exited(code, json.dumps({"outcome": "failed", "reason": reason, "message": message}))

    def beside(self, phase: str = "Running", **state: Any) -> Self:
        """With a sidecar of somebody else's that runs on, or is in a state, and so decides the pod's phase."""
        sidecar = {"name": "istio-proxy", "image": "proxy:1", "ready": True, "state": state or {"running": {}}}
        own = self.get("status", {}).get("containerStatuses", [])
        return self.status(phase=phase, containerStatuses=[sidecar, *own])

    def crashing(self, code: int = 1, message: str = "", reason: str = "Error") -> Self:
        """Of a server: between two tries of a crash loop."""
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
        last = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
        return self._container(waiting, "Running", lastState=last)

    def oom(self) -> Self:
        """Killed for memory."""
        return self.exited(137, reason="OOMKilled")

    def evicted(self, reason: str = "EvictionByEvictionAPI", message: str = "Eviction API: evicting") -> Self:
        """Taken away by the cluster."""
        return self.exited(143).condition("DisruptionTarget", "True", reason, message)

    def unschedulable(self, message: str = "0/1 nodes are available: 1 Insufficient memory.") -> Self:
        """No node takes it."""
        return self.status(phase="Pending").condition("PodScheduled", "False", "Unschedulable", message)

    def init(self, state: dict[str, Any], **more: Any) -> Self:
        """With an init container `fetch` in a state."""
        return self.status(
            initContainerStatuses=[{"name": "fetch", "image": "modelyard/fetch:1", "state": state, **more}]
        )

    def _container(self, state: dict[str, Any], phase: str, **more: Any) -> Self:
        status = {"name": "trainer", "image": "modelyard/trainer:1", "state": state, "ready": False, **more}
        return self.status(phase=phase, containerStatuses=[status])


def a_finetunejob(name: str = "reviews", **spec: Any) -> FineTuneJob:
    """The smallest useful job: LoRA on Dataset `reviews` from s3://base/minilm/."""
    fields = {
        "from": {"base": "s3://base/minilm/"},
        "task": "text-classification",
        "dataset": {"ref": "reviews"},
        **spec,
    }
    return FineTuneJob(an_object(names.API_VERSION, "FineTuneJob", name, fields))


def a_dataset(name: str = "reviews", **spec: Any) -> Dataset:
    """Rows in the installation's store."""
    fields = {"task": "text-classification", "source": {"s3": {"uri": "s3://data/reviews/"}}, **spec}
    return Dataset(an_object(names.API_VERSION, "Dataset", name, fields))


def a_profile(name: str = names.DEFAULT_PROFILE, **spec: Any) -> Built:
    """The platform team's offer."""
    fields = {"trainer": {"image": "modelyard/trainer:1"}, **spec}
    return an_object(names.API_VERSION, "TrainingProfile", name, fields, namespace="")


def a_job(name: str = "reviews-run") -> Job:
    """A Job that has just been made."""
    return Job(an_object("batch/v1", "Job", name, {"backoffLimit": 3}))


def a_pod(name: str = "reviews-run-0-abcde") -> Pod:
    """A pod that has just been made."""
    made = an_object("v1", "Pod", name, {})
    return Pod(made).status(phase="Pending")


def a_pod_of(job: dict[str, Any], number: int = 1) -> Pod:
    """The n-th pod of a Job, one minute after the one before."""
    marks = job["spec"].get("template", {}).get("metadata", {})
    pod = a_pod(f"{job['metadata']['name']}-0-{number:05d}").owned_by(job).at(f"10:{number:02d}:00")
    return pod.but("metadata", {**pod["metadata"], **copy.deepcopy(marks)})


def a_listing(*extra: str, without: str = "", digest: str = "sha256:" + "b" * 64) -> dict[str, Any]:
    """Fact `listing` of a whole base model, with more files or without one."""
    files = {"config.json", "tokenizer.json", "model.safetensors", *extra} - {without}
    return {"digest": digest, "files": [[name, 10] for name in sorted(files)]}


NEGATIVE = {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 40}


def measured(macro_f1: float = 0.742, accuracy: float = 0.8, **per_class: dict[str, float]) -> dict[str, Any]:
    """Quality on the test rows."""
    values = {"macro_f1": macro_f1, "accuracy": accuracy}
    return {"set": "test", "primary": "macro_f1", "values": values, "perClass": per_class}


def exports(*formats: str, difference: float | None = 0.00001) -> list[dict[str, Any]]:
    """What a run wrote; only ONNX is compared."""
    compared = {} if difference is None else {"difference": difference}
    return [{"format": name, "precision": "fp32", **(compared if name == "onnx" else {})} for name in formats]


def artifacts(*formats: str, difference: float | None = 0.00001) -> list[dict[str, Any]]:
    """The same with the digest of each format's files."""
    return [{**export, "digest": "sha256:" + "a" * 64} for export in exports(*formats, difference=difference)]


def trained(run: str, job: str, digest: str, **more: Any) -> dict[str, Any]:
    """Lineage of a version that a run trained."""
    rows = [{"name": "rows", "digest": digest}]
    return {"trained": {"run": run, "job": job, "datasets": rows, "base": digest, "image": "trainer:1", **more}}


def a_published_model(run: str, model: str = "reviews", macro_f1: float = 0.742) -> dict[str, Any]:
    """Facts `manifest` and `verified` of a run's result."""
    info = {
        "task": "text-classification", "run": run, "model": model, "labels": ["negative", "positive"],
        "codec": {"maxLength": 128}, "artifacts": exports("safetensors", "onnx"),
        "metrics": [measured(macro_f1, negative=NEGATIVE)],
        "dataset": "sha256:" + "d" * 64, "base": "sha256:" + "b" * 64, "image": "modelyard/trainer:1",
        "sample": {"text": "good"},
    }  # fmt: skip
    return _published("model", info)


def published_rows(task: str = "text-classification") -> dict[str, Any]:
    """Fact `manifest` of prepared rows."""
    info = {
        "task": task, "digest": "sha256:" + "d" * 64, "rows": {"train": 80, "validation": 10, "test": 10},
        "classes": {"negative": {"train": 32, "validation": 4, "test": 4},
                    "positive": {"train": 48, "validation": 6, "test": 6}},
        "removed": {"duplicate": 3},
    }  # fmt: skip
    return _published("dataset", info)


def _published(kind: str, info: dict[str, Any]) -> dict[str, Any]:
    files = [{"path": "config.json", "size": 10, "sha256": "0" * 64}]
    return {"manifest": {"format": 1, "kind": kind, "files": files, "info": info}, "digest": SHA, "size": 10}
