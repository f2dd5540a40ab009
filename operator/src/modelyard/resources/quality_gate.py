"""The gate: what a job asks of its version against what the version reached on the test rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from modelyard.api.finetunejob import Gate, Requirement
from modelyard.api.modelversion import Metrics

CLASSES_NAMED = 20


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """Whether a version may be served by `follow: latest-passed`, and the asked and reached values."""

    gate: Literal["passed", "failed"]
    message: str


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement held against what was reached."""

    passed: bool
    message: str


def judge(gate: Gate, metrics: Metrics, formats: Collection[str]) -> GateVerdict:
    """Hold every requirement against the metrics; all must pass, and a value that is not a number never does."""
    checks = [_require(requirement, metrics) for requirement in gate.require]
    if "onnx" in formats:
        checks.append(_export_difference(gate, metrics))
    failed = [check for check in checks if not check.passed]
    passed = [check for check in checks if check.passed]
    message = "; ".join(check.message for check in failed + passed)
    return GateVerdict("failed" if failed else "passed", message or "the job asks for nothing (evaluate.gate.require)")


def _require(requirement: Requirement, metrics: Metrics) -> Check:
    name = requirement.metric if requirement.class_ is None else f"{requirement.metric} of {requirement.class_!r}"
    reached = _reached(requirement, metrics)
    if reached is None:
        return Check(False, f"{name} was asked, but {_no_such_class(requirement, metrics)}")
    passed = reached >= requirement.min
    word = "reaches" if passed else "is below"
    return Check(passed, f"{name} {_digits(reached, requirement.min)} {word} {requirement.min:g}")


def _reached(requirement: Requirement, metrics: Metrics) -> float | None:
    if requirement.metric in ("macro_f1", "accuracy"):
        return float(getattr(metrics, requirement.metric))
    found = class_named(requirement.class_ or "", metrics.per_class)
    return None if found is None else float(getattr(metrics.per_class[found], requirement.metric))


def _no_such_class(requirement: Requirement, metrics: Metrics) -> str:
    if requirement.class_ is None:
        return f"evaluate.gate.require: {requirement.metric} needs `class`"
    return f"the test rows have no class {not_among(requirement.class_, metrics.per_class)}"


def class_named(asked: str, known: Collection[str]) -> str | None:
    """The class that is meant: as it is written, else in another Unicode form or with spaces around it."""
    if asked in known:
        return asked
    form = _form(asked)
    return next((label for label in sorted(known) if _form(label) == form), None)


def not_among(asked: str, known: Collection[str]) -> str:
    """A class that is not there, with the one that was probably meant and those that are there."""
    folded = {label.casefold(): label for label in sorted(known)}
    near = get_close_matches(_form(asked).casefold(), folded, n=1)
    hint = f" (did you mean {folded[near[0]]!r}?)" if near else ""
    listed = ", ".join(sorted(known)[:CLASSES_NAMED]) + (", ..." if len(known) > CLASSES_NAMED else "")
    return f"{asked!r}{hint}; they have: {listed or 'none'}"


def _form(label: str) -> str:
    return unicodedata.normalize("NFKC", label).strip()


def _export_difference(gate: Gate, metrics: Metrics) -> Check:
    limit, reached = gate.max_export_difference, metrics.export_difference
    if reached is None:
        return Check(False, f"the difference between torch and ONNX was not measured (at most {limit:g} is asked)")
    passed = reached <= limit
    word = "is within" if passed else "is above"
    return Check(passed, f"difference between torch and ONNX {_digits(reached, limit)} {word} {limit:g}")


def _digits(value: float, bound: float) -> str:
    """Three digits, or all of them where rounding would print the bound itself."""
    short = f"{value:.3g}"
    return short if value == bound or float(short) != bound else repr(value)
