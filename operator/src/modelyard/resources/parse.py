"""Spec and status of an object as the models of the API; what an older or newer schema let through is a verdict."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from modelyard import names
from modelyard.api.common import ApiModel, CommonStatus
from modelyard.decision import Manifest
from modelyard.resources.conditions import Verdict

S = TypeVar("S", bound=ApiModel)
T = TypeVar("T", bound=CommonStatus)


def spec_of(model: type[S], obj: Manifest) -> S | Verdict:
    """The spec, or a verdict that names the fields this operator does not understand."""
    try:
        return model.model_validate(obj.get("spec", {}))
    except ValidationError as fault:
        return Verdict(False, names.INVALID_SPEC, _sentence(fault), stalled=True)


def status_of(model: type[T], obj: Manifest) -> T:
    """The status, or an empty one where it is missing or unreadable: it is written anew each time."""
    try:
        return model.model_validate(obj.get("status") or {})
    except ValidationError:
        return model()


def _sentence(fault: ValidationError) -> str:
    errors = (f"spec.{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in fault.errors()[:5])
    return "; ".join(errors)
