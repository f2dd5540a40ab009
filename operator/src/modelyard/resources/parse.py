"""Spec and status of an object as the models of the API; what an older or newer schema let through is a verdict."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from modelyard import names
from modelyard.api.common import ApiModel, CommonStatus
from modelyard.decision import Manifest
from modelyard.resources.conditions import Verdict
from modelyard.resources.remembered import remember

M = TypeVar("M", bound=ApiModel)
S = TypeVar("S", bound=ApiModel)
T = TypeVar("T", bound=CommonStatus)
PARSED = 512
"""Specs and statuses kept: a ModelDeployment looks at those of all versions of its model, several times a pass."""


def spec_of(model: type[S], obj: Manifest) -> S | Verdict:
    """The spec, or a verdict that names the fields this operator does not understand."""
    try:
        return _parsed(obj.get("spec", {}), model)
    except ValidationError as fault:
        return Verdict(False, names.INVALID_SPEC, _sentence(fault), stalled=True)


def status_of(model: type[T], obj: Manifest) -> T:
    """The status, or an empty one where it is missing or unreadable: it is written anew each time."""
    try:
        return _parsed(obj.get("status") or {}, model)
    except ValidationError:
        return model()


@remember(PARSED)
def _parsed(data: dict[str, Any], model: type[M]) -> M:
    return model.model_validate(data)


def _sentence(fault: ValidationError) -> str:
    errors = (f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in fault.errors()[:5])
    return "; ".join(errors)
