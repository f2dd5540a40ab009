"""From published artifacts to a ModelVersion: verified, numbered, made once, and only ever ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelyard import names
from modelyard.api.finetunejob import Run
from modelyard.api.modelversion import Artifact, DatasetUsed, Lineage, ModelVersionSpec, Trained
from modelyard.api.run import Manifest as StoredManifest
from modelyard.api.run import ModelInfo, format_digest
from modelyard.decision import Child, Effect, Fact, Manifest, Ref
from modelyard.resources.finetunejob.case import Case
from modelyard.resources.pods import Fault
from modelyard.resources.refusals import refused_child
from modelyard.resources.waiting import SOON, Wait, moving, stuck, unanswered

VERIFIED_AGE = 5.0
CLAIMING, AGAIN = "claiming a version number", 5.0
MAKING = "making the ModelVersion"
"""Also while its number is claimed: one step to those who read it."""


@dataclass(frozen=True)
class Published:
    """Verified artifacts as the spec of their version; its number is claimed."""

    spec: ModelVersionSpec

    @property
    def name(self) -> str:
        """Name of the ModelVersion."""
        return f"{self.spec.model}-{self.spec.number}"


def manifest_fact(case: Case, run: Run) -> Fact:
    """What is published, if anything; asked anew each time."""
    return Fact.of("manifest", max_age=0, prefix=case.version_prefix(run))


def verified_fact(case: Case, run: Run) -> Fact:
    """The same after list and sizes were checked."""
    return Fact.of("verified", max_age=VERIFIED_AGE, prefix=case.version_prefix(run))


def number_fact(case: Case, run: Run) -> Fact:
    """The run's own number; asked anew each time, since it is spent when its version's artifacts are deleted."""
    return Fact.of("number", max_age=0, namespace=case.namespace, model=run.model, run=run.id)


def claim(case: Case, run: Run) -> tuple[Effect, ...]:
    """A number for what is verified, while the store says that the run has none."""
    number = case.observed.fact(number_fact(case, run))
    if number is None or number.failed or number.value is not None:
        return ()
    return (_claim(case, run),)


def _claim(case: Case, run: Run) -> Effect:
    return Effect.of("claim_number", namespace=case.namespace, model=run.model, run=run.id)


def version_ref(case: Case, name: str) -> Ref:
    """The ModelVersion of that name."""
    return Ref("ModelVersion", name, case.namespace)


def published(case: Case, run: Run) -> Published | Fault | Wait:
    """What the store proves, step by step: verified, understood, numbered."""
    answer = case.observed.fact(verified_fact(case, run))
    if answer is None:
        return moving(names.PUBLISHING, "verifying the published artifacts", SOON)
    if answer.reason in (names.CORRUPT, names.SOURCE_NOT_FOUND):
        return Fault(names.CORRUPT, f"published artifacts are not whole: {answer.message}", final=True)
    if answer.failed:
        return unanswered(answer, "verifying the published artifacts")
    number = case.observed.fact(number_fact(case, run))
    claimed = case.observed.effects.get(_claim(case, run))
    failed = next((told for told in (number, claimed) if told is not None and told.failed), None)
    if number is None or number.value is None:
        waits = moving(names.PUBLISHING, MAKING, SOON if number is None else AGAIN)
        return waits if failed is None else unanswered(failed, CLAIMING)
    return _published(case, run, answer.value, int(number.value))


def version_child(published: Published) -> Child:
    """The ModelVersion: made once, never owned, so that it outlives its job."""
    manifest = {
        "apiVersion": names.API_VERSION,
        "kind": "ModelVersion",
        "metadata": {"name": published.name, "labels": {names.LABEL_MODEL: published.spec.model}},
        "spec": published.spec.dump(),
    }
    return Child(manifest, "create", owned=False)


def standing(case: Case, published: Published) -> Manifest | Wait:
    """The ModelVersion in the cluster if it is this run's, else what it waits for."""
    ref = version_ref(case, published.name)
    found = case.observed.objects.get(ref)
    if found is not None:
        return found if _is_ours(found, published) else _taken(published)
    message = case.observed.refused.get(("ModelVersion", published.name))
    if message:
        return refused_child("ModelVersion", published.name, message, case.hints)
    return moving(names.PUBLISHING, MAKING, 1.0)


def _published(case: Case, run: Run, value: dict[str, Any], number: int) -> Published | Fault:
    try:
        manifest = StoredManifest.model_validate(value["manifest"])
        info = ModelInfo.model_validate(manifest.info)
        spec = _version_spec(case, run, manifest, info, value["digest"], number)
    except ValidationError as error:
        return Fault(names.CORRUPT, f"the published manifest cannot be read ({error.error_count()} errors)", final=True)
    if (manifest.kind, info.run, info.model) != ("model", run.id, run.model):
        found = f"{manifest.kind} of run {info.run} of {info.model}"
        return Fault(names.CORRUPT, f"the published manifest is of another run: {found}", final=True)
    return Published(spec)


def _version_spec(
    case: Case, run: Run, manifest: StoredManifest, info: ModelInfo, digest: str, number: int
) -> ModelVersionSpec:
    return ModelVersionSpec(
        model=info.model,
        number=number,
        task=info.task,
        uri=f"s3://{case.observed.platform.store_bucket}/{case.version_prefix(run)}",
        digest=digest,
        size=manifest.size,
        artifacts=[
            Artifact(**export.model_dump(), digest=format_digest(manifest.files, export.format_, export.files))
            for export in info.artifacts
        ],
        lineage=Lineage(trained=_trained(case, run, info)),
        metrics=info.metrics,
        warnings=info.warnings,
    )


def _trained(case: Case, run: Run, info: ModelInfo) -> Trained:
    pinned = run.pinned
    return Trained(
        run=info.run,
        job=case.name,
        datasets=[DatasetUsed(name=pinned.dataset.name if pinned else "", digest=info.dataset)],
        base=info.base,
        parents=info.parents,
        image=info.image,
        recipe=pinned.recipe if pinned else None,
    )


def _run_of(spec: Manifest) -> Any:
    """Id of the run in a spec of whatever shape."""
    trained = (spec.get("lineage") or {}).get("trained") or {}
    return trained.get("run")


def _is_ours(found: Manifest, published: Published) -> bool:
    spec = found["spec"]
    ours = published.spec
    return bool(_run_of(spec) == ours.run and spec.get("digest") == ours.digest)


def _taken(published: Published) -> Wait:
    text = (
        f"ModelVersion {published.name} exists, but run {published.spec.run} did not make it; "
        "its number is claimed by this run: delete that object"
    )
    return stuck(names.NOT_CLAIMED, text)
