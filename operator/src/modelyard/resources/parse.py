"""Spec and status of an object as the models of the API.

What a newer release added is passed over in both: it is no fault, and it is never erased. A value that is not
understood is one: in a spec a verdict for its owner, in a status an error, for it must not read as if nothing had
happened yet.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from modelyard import names
from modelyard.api.common import ApiModel, CommonStatus
from modelyard.decision import Manifest
from modelyard.resources.conditions import Verdict
from modelyard.resources.memoized import memoize

M = TypeVar("M", bound=ApiModel)
S = TypeVar("S", bound=ApiModel)
T = TypeVar("T", bound=CommonStatus)
PARSED = 512
"""Specs and statuses kept: a ModelDeployment looks at those of all versions of its model, several times a reconcile."""


class UnknownStatusError(Exception):
    """A status holds what this release does not understand; the object is left alone."""


def spec_of(model: type[S], obj: Manifest) -> S | Verdict:
    """The spec as far as it is known, or a verdict that names the values this operator does not understand."""
    try:
        return _parsed(obj.get("spec", {}), model)
    except ValidationError as fault:
        return Verdict(False, names.INVALID_SPEC, _sentence("spec", fault), stalled=True)


def unknown_fields(model: type[S], obj: Manifest) -> Verdict | None:
    """A verdict that names fields of the spec which a newer release brought; None if there are none.

    For what begins anew: made without them it would not be what was asked for.
    """
    try:
        model.model_validate(obj.get("spec", {}))
    except ValidationError as fault:
        found = ", ".join(f"spec.{_place(e['loc'])}" for e in fault.errors()[:5])
        text = f"{found}: not known to this release of the operator; upgrade it, or leave the field out"
        return Verdict(False, names.INVALID_SPEC, text, stalled=True)
    return None


def status_of(model: type[T], obj: Manifest) -> T:
    """The status, empty where it is missing; UnknownStatusError where it is not understood."""
    try:
        return _parsed(obj.get("status") or {}, model)
    except ValidationError as fault:
        raise UnknownStatusError(
            f"{obj.get('kind')} {obj['metadata']['name']} is left alone, for its status is not understood "
            f"({_sentence('status', fault)}): was it written by a newer release of the operator?"
        ) from fault


@memoize(PARSED)
def _parsed(data: dict[str, Any], model: type[M]) -> M:
    return model.model_validate(data, extra="ignore")


def _sentence(top: str, fault: ValidationError) -> str:
    return "; ".join(f"{top}.{_place(e['loc'])}: {e['msg']}" for e in fault.errors()[:5])


def _place(path: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in path)
