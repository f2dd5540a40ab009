"""deletionPolicy: what stands between `kubectl delete` and the artifacts."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard import names
from modelyard.api.finetunejob import FineTuneJobStatus
from modelyard.api.modeldeployment import FAILED, SERVING, ModelDeploymentSpec, ModelDeploymentStatus
from modelyard.api.modelversion import ModelVersionSpec
from modelyard.decision import Effect, Manifest, Observed, Select
from modelyard.resources.conditions import Verdict
from modelyard.resources.modelversion.place import own_prefix
from modelyard.resources.parse import spec_of, status_of


def deployments_select(namespace: str, spec: ModelVersionSpec) -> Select:
    """The ModelDeployments of this model."""
    return Select("ModelDeployment", namespace, (("spec.model.name", spec.model),))


def jobs_select(namespace: str, spec: ModelVersionSpec) -> Select:
    """The FineTuneJobs that go on from the version."""
    wanted = (("spec.from.version.model", spec.model), ("spec.from.version.number", str(spec.number)))
    return Select("FineTuneJob", namespace, wanted)


def deployed_by(spec: ModelVersionSpec, deployments: Iterable[Manifest]) -> list[str]:
    """Names of the ModelDeployments that send traffic to the version."""
    return sorted(d["metadata"]["name"] for d in deployments if _gets_traffic(_status(d), spec.number))


def users(namespace: str, spec: ModelVersionSpec, observed: Observed) -> dict[str, list[str]]:
    """By kind the names of those that serve, start, still drain or pin the version, or have yet to learn from it."""
    deployments = observed.lists.get(deployments_select(namespace, spec), ())
    found = {
        "ModelDeployment": [one for one in deployments if _uses(one, spec.number)],
        "FineTuneJob": [one for one in observed.lists.get(jobs_select(namespace, spec), ()) if _learns(one)],
    }
    return {kind: sorted(one["metadata"]["name"] for one in some) for kind, some in found.items() if some}


def being_deleted(obj: Manifest) -> bool:
    """True once someone asked for the object's deletion."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def holds_artifacts(obj: Manifest) -> bool:
    """True while our finalizer keeps the object."""
    return names.FINALIZER_ARTIFACTS in obj["metadata"].get("finalizers", ())


def finalizers(spec: ModelVersionSpec) -> tuple[str, ...]:
    """Which finalizers a version that is not being deleted carries."""
    return (names.FINALIZER_ARTIFACTS,) if spec.deletion_policy == "delete" else ()


def removal(namespace: str, spec: ModelVersionSpec) -> Effect:
    """Spend the number and delete the artifacts."""
    prefix, number = own_prefix(namespace, spec), str(spec.number)
    return Effect.of("delete_version", prefix=prefix, namespace=namespace, model=spec.model, number=number)


REMEDIES = {
    "ModelDeployment": "set spec.model of it to another version, or delete it",
    "FineTuneJob": "let its run end, or delete it",
}


def in_use(spec: ModelVersionSpec, using: dict[str, list[str]]) -> Verdict:
    """For whom the deletion waits, and what ends that."""
    kind, listed = next(iter(using.items()))
    named, verb = ", ".join(listed), "uses" if kind == "ModelDeployment" else "goes on from"
    text = f"deletion waits: {kind} {named} {verb} version {spec.number}; {REMEDIES[kind]}"
    return Verdict(False, names.IN_USE, text)


def _learns(job: Manifest) -> bool:
    """Whether the run that its spec asks for has not ended yet; one that waits, or is suspended, has not."""
    status = status_of(FineTuneJobStatus, job)
    seen = status.observed_generation >= job["metadata"].get("generation", 0)
    return not seen or status.run is None or status.run.state == "Running"


def _uses(deployment: Manifest, number: int) -> bool:
    status, spec = _status(deployment), spec_of(ModelDeploymentSpec, deployment)
    pinned = not isinstance(spec, Verdict) and spec.model.version == number
    unknown = status.observed_generation < 0  # nobody has looked: new, or of a backup
    return pinned or unknown or any(said.state != FAILED for said in status.of_version(number))


def _gets_traffic(status: ModelDeploymentStatus, number: int) -> bool:
    return any(said.state == SERVING or said.weight > 0 for said in status.of_version(number))


def _status(deployment: Manifest) -> ModelDeploymentStatus:
    return status_of(ModelDeploymentStatus, deployment)
