"""Pins: what a run starts from, resolved once; until a pod has run, profile and resources may still be put right."""

from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.api import recipes
from modelyard.api.finetunejob import FineTuneJobSpec, Pinned, Run
from modelyard.api.tasks import TASKS
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.resources import hashes, profiles
from modelyard.resources.finetunejob import hashing
from modelyard.resources.finetunejob.base import listed, pin_base, recorded
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.finetunejob.data import pin_dataset
from modelyard.resources.finetunejob.micro_batch import micro_batch
from modelyard.resources.finetunejob.parent import parent
from modelyard.resources.finetunejob.run_id import is_asked_for, run_id, spec_hash
from modelyard.resources.limits import Asked
from modelyard.resources.memoized import memoized
from modelyard.resources.pod_block import resolved
from modelyard.resources.queueing import queue_of
from modelyard.resources.waiting import HUMAN_PAUSE, Wait, stuck


def current_run(case: Case) -> Run | None:
    """The run in the status, if it is the one that the spec asks for."""
    run = case.status.run
    return run if run is not None and is_asked_for(run, case.spec, case.model) else None


def new_run(case: Case) -> Run | Wait:
    """A run pinned to what is there now, or the wait that matters most: first those that need a human."""
    dataset, base, before = pin_dataset(case), pin_base(case), parent(case)
    profile = _profile(case)
    waits = [found for found in (dataset, profile, base, before) if isinstance(found, Wait)]
    if isinstance(dataset, Wait) or isinstance(base, Wait) or isinstance(before, Wait) or isinstance(profile, Wait):
        return next((wait for wait in waits if wait.verdict.stalled), waits[0])
    pinned = Pinned(
        base=before.pin if before else base,
        dataset=dataset,
        **_from_recipe(case, dataset.rows, profile, before.max_length if before else None),
        **_from_profile(case, profile),
    )
    version = hashes.newest()
    return Run(
        id=_id(case, pinned, version),
        epoch=names.epoch_of(case.obj),
        hash_version=version,
        spec_hash=spec_hash(case.spec, case.model, version),
        model=case.model,
        pinned=pinned,
        resources=case.spec.resources,
    )


def hashing_step(case: Case) -> hashing.Step | None:
    """The next step towards the content of a base that nobody has read; None while that is not what lacks."""
    found, profile = listed(case), _profile(case)
    if found is None or isinstance(found, Wait) or isinstance(profile, Wait):
        return None
    answer = recorded(case, found)
    return hashing.step(case, found, profile) if answer is not None and not answer.failed and not answer.value else None


def _from_recipe(case: Case, rows: int, profile: TrainingProfileSpec, length: int | None) -> dict[str, Any]:
    filled = _filled(case.spec, rows, profile.limits.epochs, length)
    return {
        "recipe": filled.recipe,
        "method": filled.method,
        "input": filled.input,
        "train": filled.train,
        "by_recipe": filled.by_recipe,
        "micro_batch": _micro_batch(case, filled),
    }


@memoized
def _filled(spec: FineTuneJobSpec, rows: int, most_epochs: int | None, length: int | None) -> recipes.Resolved:
    asked = recipes.Asked(spec.task, spec.method, spec.input, spec.train, spec.from_.start, length)
    return recipes.resolved(asked, rows, most_epochs)


def refreshed(case: Case, run: Run, *, waits: bool = False) -> Run:
    """The run with the profile and the resources of now; for a run of which no pod has run.

    Of a Job that `waits` for its pod, the installation's images stay as they were pinned.
    """
    profile = _profile(case)
    if isinstance(profile, Wait) or run.pinned is None:
        return run
    update = _from_profile(case, profile)
    if waits:
        update |= {"own_image": run.pinned.own_image} if profile.trainer.command and run.pinned.own_image else {}
        update |= {} if profile.trainer.image else {"image": run.pinned.image}
    if run.resources != case.spec.resources:
        update["micro_batch"] = _micro_batch(case, run.pinned)
    pinned = run.pinned.model_copy(update=update)
    fresh = run.model_copy(update={"pinned": pinned, "resources": case.spec.resources})
    if _trainer(pinned) != _trainer(run.pinned) and run.hash_version in hashes.RULES:
        fresh = fresh.model_copy(update={"id": _id(case, pinned, run.hash_version)})
    return run if fresh == run else fresh


def _micro_batch(case: Case, filled: recipes.Resolved | Pinned) -> int:
    spec = case.spec
    whole = recipes.at_once(spec.task, spec.from_.start, filled.method.kind, filled.recipe)
    return micro_batch(filled.train.batch_size, filled.input, spec.resources, whole)


def _id(case: Case, pinned: Pinned, version: int) -> str:
    meta = case.obj["metadata"]
    return run_id(case.spec, case.model, pinned, version, f"{meta.get('uid', '')}/{meta.get('generation', 0)}")


def _trainer(pinned: Pinned) -> tuple[str, list[str], list[str]] | None:
    """The foreign trainer, which has a part in the run's id; None for our own."""
    return (pinned.image, pinned.command, pinned.args) if pinned.command else None


def later_changes(case: Case, run: Run) -> str:
    """What the spec asks beside the run that has started; empty if nothing."""
    changed = []
    if run.resources != case.spec.resources:
        changed.append("spec.resources")
    if run.pinned is not None and run.pinned.profile not in ("", case.spec.profile):
        changed.append("spec.profile")
    if not changed:
        return ""
    return f"; changed {' and '.join(changed)} will count from the next attempt (spec.attempt: {case.spec.attempt + 1})"


def _profile(case: Case) -> TrainingProfileSpec | Wait:
    spec = case.spec
    asked = Asked(spec.resources, spec.from_.uri, spec.train.epochs or 0)
    profile = profiles.allowed(spec.profile, asked, case.namespace, case.observed)
    if isinstance(profile, Wait) or profile.trainer.command:
        return profile
    if TASKS[spec.task].foreign:
        text = (
            f"spec.task: {spec.task} needs a TrainingProfile with spec.trainer.image and spec.trainer.command of your "
            f"own, for our trainer knows no such task; TrainingProfile {spec.profile} has no command: name another in "
            "spec.profile, or choose a task of docs/tasks.md"
        )
        return stuck(names.NOT_ALLOWED, text, HUMAN_PAUSE)
    if spec.resources.gpu <= 1:
        return profile
    text = (
        f"spec.resources.gpu is {spec.resources.gpu}: our trainer is not right on several GPUs yet (batch size, "
        "warm-up and resume would change with their number); set it to 1, or name a TrainingProfile with a trainer of "
        "your own"
    )
    return stuck(names.NOT_ALLOWED, text, HUMAN_PAUSE)


def _from_profile(case: Case, profile: TrainingProfileSpec) -> dict[str, Any]:
    return {
        "image": profiles.image_of(profile, case.observed),
        "command": profile.trainer.command or [],
        "args": profile.trainer.args or [],
        "own_image": profiles.own_image_of(profile, case.observed) if profile.trainer.command else "",
        "store_secret": profile.store.secret or "",
        "profile": case.spec.profile,
        "queue": queue_of(case.obj, profile),
        "retries": profile.retries,
        "disruptions": profile.disruptions,
        "grace_period": profile.grace_period,
        "pod": resolved(profile.pod, case.obj),
    }
