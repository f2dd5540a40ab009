"""What a TrainingProfile allows, in the words of the chart's ValidatingAdmissionPolicy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from modelyard.api import layout
from modelyard.api.common import Resources
from modelyard.api.trainingprofile import Namespaces, TrainingProfileSpec
from modelyard.resources.quantity import in_bytes


def foreign(field: str, uri: str, namespace: str) -> str:
    """Why a place in the artifact store is refused."""
    return f"{field} is {uri}: of ns/ in the artifact store namespace {namespace} may only name ns/{namespace}/"


@dataclass(frozen=True)
class Asked:
    """What an object asks of its profile; a Dataset has no base and no epochs."""

    resources: Resources
    base: str = ""
    epochs: int = 0


def not_offered(field: str, name: str, offered: Namespaces, namespace: str, labels: Mapping[str, str]) -> str:
    """Why the namespace may not use the profile that a field names; empty if it may."""
    missing = {key: value for key, value in offered.match_labels.items() if labels.get(key) != value}
    if not missing:
        return ""
    listed = ", ".join(f"{key}={value}" for key, value in sorted(missing.items()))
    return f"{field} is {name}: it is offered to namespaces with the label {listed}, which {namespace} lacks"


def over_limit(name: str, profile: TrainingProfileSpec, asked: Asked) -> str:
    """The first field beyond the profile's limits with its value and what is allowed; empty if there is none."""
    return next(_refusals(name, profile, asked), "")


def _refusals(name: str, profile: TrainingProfileSpec, asked: Asked) -> Iterator[str]:
    limits, resources = profile.limits, asked.resources
    if asked.base and limits.bases is not None and not _lies_in(asked.base, limits.bases):
        listed = ", ".join(limits.bases) or "none"
        yield f"spec.from.base is {asked.base}: TrainingProfile {name} allows {listed}"
    if limits.memory is not None and in_bytes(resources.memory) > in_bytes(limits.memory):
        yield _too_much("spec.resources.memory", resources.memory, name, limits.memory)
    numbers: tuple[tuple[str, float, float | None], ...] = (
        ("spec.resources.cpu", resources.cpu, limits.cpu),
        ("spec.resources.gpu", resources.gpu, limits.gpu),
        ("spec.train.epochs", asked.epochs, limits.epochs),
    )
    for field, value, most in numbers:
        if most is not None and value > most:
            yield _too_much(field, f"{value:g}", name, f"{most:g}")


def _lies_in(base: str, folders: list[str]) -> bool:
    return any(layout.folder_uri(base).startswith(folder) for folder in folders)


def _too_much(field: str, value: str, name: str, most: str) -> str:
    return f"{field} is {value}: TrainingProfile {name} allows at most {most}"
