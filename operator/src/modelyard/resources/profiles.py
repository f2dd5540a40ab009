"""The TrainingProfile that a Job is made from: found, understood, and with an image."""

from __future__ import annotations

from modelyard import names
from modelyard.api.trainingprofile import TrainingProfileSpec
from modelyard.decision import Observed, Ref
from modelyard.resources.conditions import Verdict
from modelyard.resources.parse import spec_of
from modelyard.resources.waiting import Wait, moving, stuck


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
            f"no trainer image is known: set trainer.image of TrainingProfile {name} or the chart value trainer.image",
        )
    return spec


def image_of(profile: TrainingProfileSpec, observed: Observed) -> str:
    """The profile's image, or the installation's."""
    return profile.trainer.image or observed.platform.trainer_image
