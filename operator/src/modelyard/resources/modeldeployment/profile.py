"""The ServingProfile of a ModelDeployment: found, offered to its namespace, and with the object's labels copied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelyard import names
from modelyard.api.modeldeployment import ModelDeploymentSpec
from modelyard.api.pod import Pod
from modelyard.api.servingprofile import ServingProfileSpec
from modelyard.decision import Manifest, Need, Observed, Ref
from modelyard.resources.conditions import Verdict
from modelyard.resources.limits import not_offered
from modelyard.resources.parse import spec_of
from modelyard.resources.pod_block import resolved
from modelyard.resources.profiles import READING, labels_fact

FIELD = "spec.serve.profile"


def profile_needs(obj: Manifest, spec: ModelDeploymentSpec, observed: Observed) -> Iterable[Need]:
    """The profile, and the namespace's labels if the profile asks for some."""
    yield _ref(spec)
    found = observed.objects.get(_ref(spec))
    if found is not None and found["spec"].get("namespaces", {}).get("matchLabels"):
        yield labels_fact(obj["metadata"]["namespace"])


def pod_of(obj: Manifest, spec: ModelDeploymentSpec, observed: Observed) -> Pod | Verdict:
    """What is added to the pods; nothing without a default profile. Else why no new pod may be made."""
    name, found = spec.serve.profile, observed.objects.get(_ref(spec))
    if found is None:
        return Pod() if name == names.DEFAULT_PROFILE else _missing(name)
    profile = spec_of(ServingProfileSpec, found)
    if isinstance(profile, Verdict):
        return _stuck(names.INVALID_SPEC, f"ServingProfile {name}: {profile.message}")
    namespace, labels = obj["metadata"]["namespace"], _labels(obj, profile, observed)
    if isinstance(labels, Verdict):
        return labels
    refusal = not_offered(FIELD, name, profile.namespaces, namespace, labels)
    return _stuck(names.NOT_ALLOWED, refusal) if refusal else resolved(profile.pod, obj)


def _labels(obj: Manifest, profile: ServingProfileSpec, observed: Observed) -> Mapping[str, str] | Verdict:
    if not profile.namespaces.match_labels:
        return {}
    answer = observed.fact(labels_fact(obj["metadata"]["namespace"]))
    if answer is None or answer.failed:
        return Verdict(False, answer.reason if answer else names.PENDING, answer.message if answer else READING)
    return dict(answer.value or {})


def _ref(spec: ModelDeploymentSpec) -> Ref:
    """Profiles are cluster-scoped."""
    return Ref("ServingProfile", spec.serve.profile)


def _missing(name: str) -> Verdict:
    text = f"{FIELD}: there is no ServingProfile {name} (kubectl get servingprofiles lists them)"
    return _stuck(names.PROFILE_NOT_FOUND, f"{text}; goes on as soon as it exists")


def _stuck(reason: str, message: str) -> Verdict:
    return Verdict(False, reason, message, stalled=True)
