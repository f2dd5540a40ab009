"""The version that a run goes on from: there, verified, of a task that fits, with weights; known by its manifest alone.

Whether it passed its gate is not asked: the gate says what may be served, not what may be learned from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from modelyard import names
from modelyard.api import layout
from modelyard.api.finetunejob import BasePin, VersionStart
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.api.run import Manifest as StoredManifest
from modelyard.api.run import format_digest
from modelyard.api.tasks import TASKS
from modelyard.decision import Answer, Fact, Manifest, Need, Ref
from modelyard.resources.conditions import Verdict, condition
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.parse import spec_of
from modelyard.resources.waiting import HUMAN_PAUSE, SOON, Wait, moving, stuck, unanswered

FIELD = "spec.from.version"
WEIGHTS = "safetensors"
"""The format that training can go on from."""


@dataclass(frozen=True)
class Parent:
    """The version's files, and how many tokens of a row it reads; None where it reads no texts."""

    pin: BasePin
    max_length: int | None


def needs(case: Case) -> Iterable[Need]:
    """The ModelVersion, then its manifest."""
    asked = case.spec.from_.version
    if asked is None:
        return
    yield _ref(case, asked)
    spec = _fitting(case, asked)
    if not isinstance(spec, Wait):
        yield _manifest_fact(case, spec)


def parent(case: Case) -> Parent | Wait | None:
    """The version as its manifest says, or what it waits for; None where the job goes on from none."""
    asked = case.spec.from_.version
    if asked is None:
        return None
    spec = _fitting(case, asked)
    if isinstance(spec, Wait):
        return spec
    answer = case.observed.fact(_manifest_fact(case, spec))
    if answer is None:
        return moving(names.PENDING, f"reading ModelVersion {asked.name} in the artifact store", SOON)
    return _read(case, asked, spec, answer)


def _ref(case: Case, asked: VersionStart) -> Ref:
    return Ref("ModelVersion", asked.name, case.namespace)


def _prefix(case: Case, spec: ModelVersionSpec) -> str:
    """Where versions of this run lie: never what the object says, which anybody may have written."""
    return layout.version_prefix(layout.run_prefix(case.namespace, spec.model, spec.run))


def _manifest_fact(case: Case, spec: ModelVersionSpec) -> Fact:
    return Fact.of("verified", prefix=_prefix(case, spec), digest=spec.digest)


def _fitting(case: Case, asked: VersionStart) -> ModelVersionSpec | Wait:
    """The version's spec, once the operator has verified it and the job can go on from such a one."""
    found = case.observed.objects.get(_ref(case, asked))
    if found is None:
        return _missing(case, asked)
    spec = spec_of(ModelVersionSpec, found)
    if isinstance(spec, Verdict):
        return stuck(names.VERSION_NOT_READY, f"{FIELD}: ModelVersion {asked.name}: {spec.message}")
    return _unverified(asked, found) or _unfit(case, asked, spec) or spec


def _missing(case: Case, asked: VersionStart) -> Wait:
    if not case.observed.known(_ref(case, asked)):
        return moving(names.PENDING, f"reading ModelVersion {asked.name}", SOON)
    text = (
        f"{FIELD}: there is no ModelVersion {asked.name} in namespace {case.namespace}; goes on as soon as it exists, "
        f"`kubectl get modelversions` lists those that there are"
    )
    return stuck(names.VERSION_NOT_FOUND, text)


def _unverified(asked: VersionStart, found: Manifest) -> Wait | None:
    verified = condition(found, names.VERIFIED) or {"status": "Unknown"}
    if verified["status"] == "True":
        return None
    if verified["status"] == "Unknown":
        return moving(names.VERSION_NOT_READY, f"{FIELD}: ModelVersion {asked.name} is not verified yet")
    told = f"{FIELD}: ModelVersion {asked.name}: {verified['reason']}: {verified['message']}"
    return stuck(names.VERSION_NOT_READY, f"{told}; or name another version")


def _unfit(case: Case, asked: VersionStart, spec: ModelVersionSpec) -> Wait | None:
    task = case.spec.task
    fits = (task, *TASKS[task].kin)
    if spec.task not in fits:
        told = f"{FIELD}: ModelVersion {asked.name} is for {spec.task}, a model for {task} goes on from one for"
        return stuck(names.TASK_MISMATCH, f"{told} {' or '.join(fits)}: name another version, or start from.base")
    if not any(one.format_ == WEIGHTS and not one.base for one in spec.artifacts):
        formats = ", ".join(spec.formats)
        text = f"{FIELD}: ModelVersion {asked.name} has {formats}, training goes on from {WEIGHTS}: train it again with"
        return stuck(names.FORMAT_MISSING, f"{text} spec.export: [{WEIGHTS}, onnx], or name another version")
    return None


def _read(case: Case, asked: VersionStart, spec: ModelVersionSpec, answer: Answer) -> Parent | Wait:
    if answer.reason in (names.CORRUPT, names.SOURCE_NOT_FOUND):
        text = f"{FIELD}: the files of ModelVersion {asked.name} are not whole: {answer.message}; name another version"
        return stuck(names.VERSION_NOT_READY, text, HUMAN_PAUSE)
    if answer.failed:
        return unanswered(answer, f"{FIELD} {asked.name}")
    try:
        manifest = StoredManifest.model_validate(answer.value["manifest"])
    except ValidationError as fault:
        text = f"{FIELD}: the manifest of ModelVersion {asked.name} cannot be read ({fault.error_count()} errors)"
        return stuck(names.VERSION_NOT_READY, f"{text}; name another version", HUMAN_PAUSE)
    pin = BasePin(
        uri=f"s3://{case.observed.platform.store_bucket}/{_prefix(case, spec)}",
        digest=format_digest(manifest.files, WEIGHTS),
        version=asked.name,
        manifest=spec.digest,
    )
    return Parent(pin, _length(manifest))


def _length(manifest: StoredManifest) -> int | None:
    """Tokens of a row, as codecs of texts leave it."""
    found = (manifest.info.get("codec") or {}).get("maxLength")
    return found if isinstance(found, int) and found > 0 else None
