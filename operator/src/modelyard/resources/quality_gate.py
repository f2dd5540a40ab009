"""The gate: what a job asks of its version against what the version reached on the test rows."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from modelyard.api.gate import Gate, Requirement
from modelyard.api.modelversion import Export, Metrics, ModelVersionSpec
from modelyard.api.tasks import FORMATS, TASKS

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


def judge(gate: Gate, version: ModelVersionSpec) -> GateVerdict:
    """Hold every requirement against the test rows; all must pass, and a value that is not a number never does."""
    checks = [_require(requirement, version.tested) for requirement in gate.require]
    compared = [artifact for artifact in version.artifacts if _is_compared(artifact, TASKS[version.task].foreign)]
    checks += [_difference(gate, artifact) for artifact in compared]
    failed = [check for check in checks if not check.passed]
    passed = [check for check in checks if check.passed]
    message = "; ".join(check.message for check in failed + passed)
    return GateVerdict("failed" if failed else "passed", message or "the job asks for nothing (evaluate.gate.require)")


def _require(requirement: Requirement, metrics: Metrics | None) -> Check:
    name = requirement.metric if requirement.class_ is None else f"{requirement.metric} of {requirement.class_!r}"
    if metrics is None:
        return Check(False, f"{name} was asked, but nothing was measured on the test rows")
    reached = _reached(requirement, metrics)
    if reached is None:
        return Check(False, f"{name} was asked, but {_not_measured(requirement, metrics)}")
    if requirement.max is not None:
        return _at_most(name, reached, requirement.max)
    least = requirement.min
    if least is None:
        return Check(False, f"{name} was asked, but with neither min nor max")
    passed = reached >= least
    word = "reaches" if passed else "is below"
    return Check(passed, f"{name} {_digits(reached, least)} {word} {least:g}")


def _at_most(name: str, reached: float, most: float) -> Check:
    passed = reached <= most
    word = "is within" if passed else "is above"
    return Check(passed, f"{name} {_digits(reached, most)} {word} {most:g}")


def _reached(requirement: Requirement, metrics: Metrics) -> float | None:
    if requirement.class_ is None:
        return metrics.values.get(requirement.metric)
    found = class_named(requirement.class_, metrics.per_class)
    return None if found is None else metrics.per_class[found].get(requirement.metric)


def _not_measured(requirement: Requirement, metrics: Metrics) -> str:
    """Why there is no value: no such class, or no such metric of all rows or of a class."""
    asked, known = requirement.class_, metrics.values
    if asked is not None:
        found = class_named(asked, metrics.per_class)
        if found is None:
            return f"the test rows have no class {not_among(asked, metrics.per_class)}"
        known = metrics.per_class[found]
    elif any(requirement.metric in row for row in metrics.per_class.values()):
        return f"evaluate.gate.require: {requirement.metric} needs `class`"
    listed = ", ".join(sorted(known)) or "none"
    return f"evaluate.gate.require: it was not measured; there are: {listed}"


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


def _is_compared(artifact: Export, foreign: bool) -> bool:
    """A format that must answer as the trained model does; a foreign one, or another release's, only if measured."""
    known = None if foreign else FORMATS.get(artifact.format_)
    return known.compared if known else artifact.difference is not None


def _difference(gate: Gate, artifact: Export) -> Check:
    limit, reached = gate.max_export_difference, artifact.difference
    known = FORMATS.get(artifact.format_)
    name = f"difference between torch and {known.title if known else artifact.format_}"
    if reached is None:
        return Check(False, f"the {name} was not measured (at most {limit:g} is asked)")
    return _at_most(name, reached, limit)


def _digits(value: float, bound: float) -> str:
    """Three digits, or all of them where rounding would print the bound itself."""
    short = f"{value:.3g}"
    return short if value == bound or float(short) != bound else repr(value)
