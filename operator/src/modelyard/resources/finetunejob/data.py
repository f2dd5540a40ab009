"""The data of a job: a Dataset by name, or one written in place that becomes an owned child."""

from __future__ import annotations

from collections.abc import Mapping

from modelyard import names
from modelyard.api import layout
from modelyard.api.dataset import DatasetSpec, DatasetStatus, Rows
from modelyard.api.finetunejob import DatasetPin
from modelyard.decision import Child, Manifest, Ref
from modelyard.resources import hashes, profiles
from modelyard.resources.conditions import condition, is_ready
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.finetunejob.run_id import is_asked_for
from modelyard.resources.parse import status_of
from modelyard.resources.pod_block import copied_labels
from modelyard.resources.quality_gate import class_named, not_among
from modelyard.resources.queueing import labels_of
from modelyard.resources.refusals import refused_child
from modelyard.resources.waiting import SOON, Wait, moving, stuck


def dataset_name(case: Case) -> str:
    """Name of the Dataset; an inline one is named by what decides its rows.

    A newer rule renames none that stands: its rows would be prepared again.
    """
    inline = case.spec.dataset.inline
    if inline is None:
        return str(case.spec.dataset.ref)
    versions = sorted(hashes.RULES, reverse=True)
    named = {number: names.child_name(case.name, f"data-{hashes.dataset_hash(inline, number)}") for number in versions}
    run = case.status.run
    if run is not None and run.hash_version in named and is_asked_for(run, case.spec, case.model):
        return named[run.hash_version]
    standing = (name for name in named.values() if case.observed.child("Dataset", name))
    return next(standing, named[versions[0]])


def dataset_ref(case: Case) -> Ref:
    """The Dataset, wherever it comes from."""
    return Ref("Dataset", dataset_name(case), case.namespace)


def dataset_child(case: Case) -> tuple[Child, ...]:
    """The owned Dataset of an inline one; listed in every reconcile, or it would be pruned."""
    inline = case.spec.dataset.inline
    if inline is None:
        return ()
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "Dataset",
        "metadata": {"name": dataset_name(case), "labels": _labels(case, inline)},
        "spec": inline.dump(),
    }
    return (Child(manifest, "apply"),)


def _labels(case: Case, inline: DatasetSpec) -> dict[str, str]:
    """What the Dataset's own pods take from its labels: the queue, and what its profile copies."""
    profile = profiles.profile_of(inline.profile, case.observed)
    copied = {} if isinstance(profile, Wait) else copied_labels(profile.pod, case.obj)
    return {**copied, **labels_of(case.obj)}


def pin_dataset(case: Case) -> DatasetPin | Wait:
    """The prepared rows as they are now, or what they wait for."""
    name, ref = dataset_name(case), dataset_ref(case)
    found = case.observed.objects.get(ref) or case.observed.child("Dataset", name)
    if found is None:
        return _missing(case, name, ref)
    if found["spec"].get("task") != case.spec.task:
        text = f"Dataset {name} is for {found['spec'].get('task')}, spec.task asks for {case.spec.task}"
        return stuck(names.TASK_MISMATCH, text)
    status = status_of(DatasetStatus, found)
    if is_ready(found) and status.digest and status.prefix:
        if not status.prefix.startswith(layout.datasets_prefix(case.namespace)):
            text = f"status.prefix of Dataset {name} is {status.prefix}, which is not its own: make the Dataset anew"
            return stuck(names.NOT_ALLOWED, text)
        rows = status.rows.train if status.rows else 0
        pin = DatasetPin(name=name, prefix=status.prefix, digest=status.digest, rows=rows)
        return _unknown_class(case, name, status.classes or {}) or pin
    return _not_ready(name, found)


def _unknown_class(case: Case, name: str, known: Mapping[str, Rows]) -> Wait | None:
    """A gate that asks for a class the rows do not have could only fail: it is said before anything is trained."""
    for index, requirement in enumerate(case.spec.evaluate.gate.require):
        asked = requirement.class_
        if not known or asked is None:
            continue
        field, label = f"spec.evaluate.gate.require[{index}].class", class_named(asked, known)
        if label is None:
            text = f"{field}: the rows of Dataset {name} have no class {not_among(asked, known)}"
            return stuck(names.INVALID_SPEC, text)
        if not known[label].test:
            text = (
                f"{field}: Dataset {name} has no test row of class {label!r}: add rows of it or ask for another class"
            )
            return stuck(names.INVALID_SPEC, text)
    return None


def _missing(case: Case, name: str, ref: Ref) -> Wait:
    if case.spec.dataset.inline is not None:
        message = case.observed.refused.get(("Dataset", name))
        return refused_child("Dataset", name, message, case.hints) if message else _waits(name)
    if not case.observed.known(ref):
        return moving(names.PENDING, f"reading Dataset {name}", SOON)
    text = f"spec.dataset.ref: there is no Dataset {name} in namespace {case.namespace}; goes on as soon as it exists"
    return stuck(names.DATASET_NOT_FOUND, text)


def _not_ready(name: str, found: Manifest) -> Wait:
    stalled = condition(found, names.STALLED)
    if stalled is None:
        return _waits(name)
    return stuck(names.DATASET_FAILED, f"Dataset {name}: {stalled['reason']}: {stalled['message']}")


def _waits(name: str) -> Wait:
    return moving(names.WAITING_FOR_DATASET, f"Dataset {name} is being prepared")
