"""What the API server does with built-in kinds: canonical quantities, omitted empties, defaults, immutable fields."""

from __future__ import annotations

from fractions import Fraction
from http import HTTPStatus
from typing import Any

from modelyard.decision import Manifest
from modelyard.engine.kube import KubeError

OMITTED_WHEN_EMPTY = {
    "labels", "annotations", "nodeSelector", "tolerations", "env", "args", "command", "imagePullSecrets", "data",
    "value", "readOnly", "hostNetwork", "initialDelaySeconds", "ownerReferences", "finalizers", "medium",
}  # fmt: skip
QUANTITIES = {"requests", "limits"}
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
DECIMAL = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
WITH_GENERATION = {"Job", "Deployment", "InferenceService"}
WITH_STATUS = {"Job", "Deployment", "Service", "Pod"}
DEFAULTS: dict[str, Manifest] = {
    "Job": {"suspend": False, "manualSelector": False},
    "Deployment": {"progressDeadlineSeconds": 600},
    "Service": {"clusterIP": "10.0.0.1", "type": "ClusterIP", "sessionAffinity": "None"},
}
POD_DEFAULTS: Manifest = {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"}
CONTAINER_DEFAULTS: Manifest = {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}


def admit(obj: Manifest) -> None:
    """Normalise a new or changed object, in place."""
    _tidy(obj)
    spec = obj.get("spec")
    if spec is None:
        return
    for name, value in DEFAULTS.get(obj["kind"], {}).items():
        spec.setdefault(name, value)
    pod = spec.get("template", {}).get("spec")
    if pod is not None:
        _default_pod(pod)


def admit_change(old: Manifest, new: Manifest) -> None:
    """Refuse changes of immutable fields."""
    if new["kind"] == "ConfigMap" and old.get("immutable") and old.get("data") != new.get("data"):
        raise _immutable("data of an immutable ConfigMap")
    if new["kind"] == "Job":
        fixed = [name for name in ("template", "completions", "completionMode") if _differs(old, new, name)]
        if fixed:
            raise _immutable(f"spec.{fixed[0]} of a Job")
    if new["kind"] == "Deployment" and _differs(old, new, "selector"):
        raise _immutable("spec.selector of a Deployment")


def canonical(quantity: str) -> str:
    """A quantity as the API server writes it back."""
    number, unit = _parsed(quantity)
    if unit in BINARY:
        return _largest(number * BINARY[unit], BINARY)
    scaled = number * DECIMAL.get(unit, 1)
    if scaled.denominator != 1:
        return f"{-(-scaled.numerator * 1000 // scaled.denominator)}m"
    return _largest(scaled, DECIMAL)


def _parsed(quantity: str) -> tuple[Fraction, str]:
    text = str(quantity)
    unit = text.lstrip("0123456789.")
    number = Fraction(text[: len(text) - len(unit)])
    return (number / 1000, "") if unit == "m" else (number, unit)


def _largest(number: Fraction, units: dict[str, int]) -> str:
    for unit, factor in sorted(units.items(), key=lambda item: -item[1]):
        if number and (number / factor).denominator == 1:
            return f"{number / factor}{unit}"
    return str(number)


def _tidy(value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _tidy(item)
    if not isinstance(value, dict):
        return
    for name in list(value):
        if value[name] is None or (name in OMITTED_WHEN_EMPTY and not value[name]):
            del value[name]
        elif name in QUANTITIES and isinstance(value[name], dict):
            value[name] = {resource: canonical(amount) for resource, amount in value[name].items()}
        else:
            _tidy(value[name])


def _default_pod(pod: Manifest) -> None:
    for name, value in POD_DEFAULTS.items():
        pod.setdefault(name, value)
    for container in (*pod.get("initContainers", ()), *pod.get("containers", ())):
        for name, value in CONTAINER_DEFAULTS.items():
            container.setdefault(name, value)


def _differs(old: Manifest, new: Manifest, field: str) -> bool:
    return bool(old["spec"].get(field) != new["spec"].get(field))


def _immutable(what: str) -> KubeError:
    return KubeError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what}: field is immutable", "Invalid")
