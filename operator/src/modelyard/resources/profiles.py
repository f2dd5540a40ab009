"""The TrainingProfile that a Job is made from: found, understood, and with an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelyard import names
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Fact, Need, Observed, Ref
from modelyard.resources.conditions import Verdict
from modelyard.resources.limits import Asked, not_offered, over_limit
from modelyard.resources.parse import spec_of
from modelyard.resources.waiting import HUMAN_PAUSE, SOON, Wait, moving, stuck, unanswered

READING = "reading the labels of the namespace"


def profile_ref(name: str) -> Ref:
    """Profiles are cluster-scoped."""
    return Ref("TrainingProfile", name)


def profile_of(name: str, observed: Observed) -> TrainingProfileSpec | Wait:
    """The profile's spec, or why there is none to use."""
    if not observed.known(profile_ref(name)):
        return moving(names.PENDING, f"reading TrainingProfile {name}")
    found = observed.objects[profile_ref(name)]
    if found is None:
        return stuck(
            names.PROFILE_NOT_FOUND,
            f"spec.profile: there is no TrainingProfile {name} (kubectl get trainingprofiles lists them); "
            "goes on as soon as it exists",
        )
    spec = spec_of(TrainingProfileSpec, found)
    if isinstance(spec, Verdict):
        return stuck(names.INVALID_SPEC, f"TrainingProfile {name}: {spec.message}")
    if not image_of(spec, observed):
        return stuck(
            names.IMAGE_PULL,
            f"no trainer image is known: set trainer.image of TrainingProfile {name} or the chart value image.trainer",
        )
    return spec


def needs(name: str, namespace: str, observed: Observed) -> Iterable[Need]:
    """The profile, and the namespace's labels if the profile asks for some."""
    yield profile_ref(name)
    found = observed.objects.get(profile_ref(name))
    if found is not None and found["spec"].get("namespaces", {}).get("matchLabels"):
        yield labels_fact(namespace)


def labels_fact(namespace: str) -> Fact:
    """Labels of a namespace."""
    return Fact.of("namespace_labels", namespace=namespace, max_age=30.0)


def allowed(name: str, asked: Asked, namespace: str, observed: Observed) -> TrainingProfileSpec | Wait:
    """The profile's spec, if it is offered to the namespace and allows all that is asked.

    Admission says the same earlier; this holds when the profile came, or was narrowed, after the object.
    """
    profile = profile_of(name, observed)
    if isinstance(profile, Wait):
        return profile
    labels: Mapping[str, str] = {}
    if profile.namespaces.match_labels:
        answer = observed.fact(labels_fact(namespace))
        if answer is None or answer.failed:
            return unanswered(answer, f"Namespace {namespace}") if answer else moving(names.PENDING, READING, SOON)
        labels = answer.value or {}
    offered = not_offered("spec.profile", name, profile.namespaces, namespace, labels)
    refusal = offered or over_limit(name, profile, asked)
    return stuck(names.NOT_ALLOWED, refusal, HUMAN_PAUSE) if refusal else profile


def own_image_of(profile: TrainingProfileSpec, observed: Observed) -> str:
    """The image that keeps our contract: never a foreign one."""
    return observed.platform.trainer_image if profile.trainer.command else image_of(profile, observed)


def image_of(profile: TrainingProfileSpec, observed: Observed) -> str:
    """The profile's image, or the installation's."""
    return profile.trainer.image or observed.platform.trainer_image
