"""The indexed Job and the ConfigMap of one run or one preparation: `restricted`, never patched but for suspend."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from modelyard import names
from modelyard.api.run import CA_PATH, CONFIG_PATH, FINAL_EXIT_CODES, ExitCode, TrainConfig
from modelyard.decision import Child, Manifest, Observed
from modelyard.resources import jobs
from modelyard.resources.memoized import memoized
from modelyard.resources.queueing import queue_in
from modelyard.resources.run_plan import RunPlan
from modelyard.resources.run_pod import pod_spec

MOST_CONFIG = 1 << 20
"""Bytes that fit into a ConfigMap."""


@memoized
def children(plan: RunPlan, suspend: bool | None = None) -> tuple[Child, ...]:
    """Both, made once and never patched; `suspend` goes by the Child alone, for a queued Job by being there."""
    config = Child(config_map(plan), "create")
    if plan.queue:
        return (config,) if suspend else (config, Child(job(plan), "create"))
    return (config, Child(job(plan), "create", suspend=suspend))


def kept(name: str, suspend: bool | None = None) -> tuple[Child, ...]:
    """Both, if they are still there: they hold the logs of what has ended."""
    return (
        Child({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, "keep"),
        Child({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}}, "keep", suspend=suspend),
    )


def stopped(name: str, job: Manifest | None) -> tuple[Child, ...]:
    """Both kept for their logs, and no more pods made; a Job that Kueue would start again goes."""
    going = job is not None and not jobs.has_ended(job)
    if going and queue_in(job):
        return kept(name)[:1]
    return kept(name, suspend=True if going else None)


def after_failure(name: str, observed: Observed) -> tuple[Child, ...]:
    """Both kept for their logs; a Job that would go on is stopped."""
    return stopped(name, observed.child("Job", name))


def after_success(name: str, observed: Observed) -> tuple[Child, ...]:
    """Both kept for their logs; only a Job whose pod nobody but a sidecar keeps alive is stopped."""
    pods = jobs.pods_of(observed.child("Job", name), observed)
    return after_failure(name, observed) if jobs.succeeded_beside_a_sidecar(pods) else kept(name)


def all_kept(observed: Observed) -> tuple[Child, ...]:
    """Every child as it is: for a reconcile that must not touch anything."""
    return tuple(Child(child, "keep") for child in observed.children)


@memoized
def inputs_hash(plan: RunPlan) -> str:
    """Hash of what people decide about a Job: other inputs make one again that no pod has run of.

    A Job that waits must outlast another release: what the installation or the code decides has no part in it, and a
    field that comes later is left out where it says the same as its absence.
    """
    resources, config = plan.resources, plan.config
    inputs: dict[str, Any] = {
        "resources": [float(resources.cpu), resources.memory, resources.gpu],
        "pod": plan.pod.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "trainer": [plan.chosen_image, list(plan.command), list(plan.args)],
        "secrets": [plan.store_secret, plan.source_secret],
        "limits": [plan.retries, plan.grace, plan.queue],
    }
    if isinstance(config, TrainConfig):
        inputs["checkpoint"] = [config.checkpoint_every, config.checkpoint_keep]
    return names.short_hash(json.dumps(inputs, sort_keys=True))


@memoized
def made_hash(plan: RunPlan) -> str:
    """Hash of all that a Job and its ConfigMap are made from."""
    made: list[Any] = [inputs_hash(plan), plan.config.dump(), plan.image, plan.own_image, plan.endpoint]
    return names.short_hash(json.dumps(made, sort_keys=True))


def is_stale(child: Manifest | None, plan: RunPlan, *, all_counts: bool = False) -> bool:
    """True when the child was made from other inputs; on demand also when the installation has changed since."""
    marks = {names.ANNOTATION_INPUTS: inputs_hash(plan)} | (
        {names.ANNOTATION_MADE: made_hash(plan)} if all_counts else {}
    )
    found = {} if child is None else child["metadata"].get("annotations", {})
    return child is not None and any(found.get(mark) != value for mark, value in marks.items())


def config_map(plan: RunPlan) -> Manifest:
    """The RunConfig, immutable."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(plan),
        "immutable": True,
        "data": {
            PurePosixPath(CONFIG_PATH).name: json.dumps(plan.config.dump(), sort_keys=True, ensure_ascii=False),
            PurePosixPath(CA_PATH).name: plan.endpoint_ca,
        },
    }


def config_size(plan: RunPlan) -> int:
    """Bytes of the ConfigMap's data as the API server counts them; over MOST_CONFIG it is refused."""
    return sum(len(text.encode()) for text in config_map(plan)["data"].values())


def job(plan: RunPlan) -> Manifest:
    """One pod at a time, tried again `retries` times, never for faults that would come back."""
    metadata = _metadata(plan)
    queue = {names.LABEL_QUEUE: plan.queue} if plan.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**metadata, "labels": metadata["labels"] | queue},
        "spec": {
            **({"suspend": True} if queue else {}),
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": plan.retries,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": _failure_rules(plan)},
            "template": {"metadata": _marks(plan), "spec": pod_spec(plan)},
        },
    }


def _metadata(plan: RunPlan) -> dict[str, Any]:
    return {
        "name": plan.name,
        "labels": _labels(plan),
        "annotations": {names.ANNOTATION_INPUTS: inputs_hash(plan), names.ANNOTATION_MADE: made_hash(plan)},
    }


def _labels(plan: RunPlan) -> dict[str, str]:
    return {**(plan.pod.labels or {}), **plan.labels, names.LABEL_RUN: plan.run}


def _marks(plan: RunPlan) -> dict[str, Any]:
    annotations = {"annotations": dict(plan.pod.annotations)} if plan.pod.annotations else {}
    return {"labels": _labels(plan), **annotations}


def _failure_rules(plan: RunPlan) -> list[dict[str, Any]]:
    return [
        *(_on_exit("FailJob", name, FINAL_EXIT_CODES) for name in plan.containers),
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        # Suspending deletes pods without that condition: being asked to stop is no failure of the run.
        *(_on_exit("Ignore", name, (int(ExitCode.INTERRUPTED),)) for name in plan.containers),
    ]


def _on_exit(action: str, container: str, codes: Sequence[int]) -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"containerName": container, "operator": "In", "values": list(codes)}}
