"""Which run a spec asks for: only deciding fields, data and base; a golden test holds the hashes still.

What starts a run is a change of what the user wrote; what names it is what the recipe made of that, and who trains it.
"""

from __future__ import annotations

import re
from typing import Any

from modelyard import names
from modelyard.api import layout
from modelyard.api.finetunejob import FineTuneJobSpec, Pinned, Run
from modelyard.api.hyperparameters import Hyperparameters, ResolvedInput, ResolvedMethod
from modelyard.api.recipes import method_of
from modelyard.resources.hashes import RULES
from modelyard.resources.memoized import memoized

LENGTH = 16


def run_id(spec: FineTuneJobSpec, model: str, pinned: Pinned, version: int, once: str = "") -> str:
    """Equal for equal work: data and base enter by content, whatever their names, the rest as it is trained.

    Of a foreign trainer image, command and args enter, too. One that is named by a tag alone may be another tomorrow:
    `once` names this very object and edit, so that nobody else's result is taken for its own.
    """
    trained = _trained(spec, model, pinned.method, pinned.input, pinned.train, version)
    work = RULES[version].write({**trained, "recipe": pinned.recipe, **_trainer(pinned, once)})
    return names.short_hash(work, pinned.dataset.digest, pinned.base.digest if pinned.base else "", length=LENGTH)


@memoized
def spec_hash(spec: FineTuneJobSpec, model: str, version: int) -> str:
    """Another value means that another run is asked for, also when only the Dataset is another one.

    Only what the user wrote counts: a new recipe moves none, nor does an edited profile.
    """
    rule = RULES[version]
    return names.short_hash(rule.write(rule.job.decisive(_asked(spec, model))), length=LENGTH)


def is_asked_for(run: Run, spec: FineTuneJobSpec, model: str) -> bool:
    """True if the spec asks for this run, under the rule that it was made with.

    A run made with a rule of a newer operator cannot be compared here: it stands.
    """
    return run.hash_version not in RULES or run.spec_hash == spec_hash(spec, model, run.hash_version)


def by_digest(image: str) -> bool:
    """True for an image that can never be another one."""
    return "@sha256:" in image


def is_model_name(name: str) -> bool:
    """A DNS label of at most 40 characters."""
    return re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", name) is not None


@memoized
def _trained(
    spec: FineTuneJobSpec,
    model: str,
    method: ResolvedMethod,
    input_: ResolvedInput,
    train: Hyperparameters,
    version: int,
) -> dict[str, Any]:
    """What counts of the spec as it is trained."""
    trained = {"method": method.dump(), "input": input_.dump(), "train": train.dump()}
    asked = {name: value for name, value in _asked(spec, model).items() if name != "dataset"}
    return RULES[version].job.decisive(asked | trained)


@memoized
def _asked(spec: FineTuneJobSpec, model: str) -> dict[str, Any]:
    """The spec with the model's name, and without differences that mean nothing."""
    return {
        **spec.dump(),
        "model": {"name": model},
        "method": method_of(spec.task, spec.from_.start, spec.method).dump(),
        "from": {"base": layout.folder_uri(spec.from_.uri)} if spec.from_.base else spec.from_.dump(),
        "export": sorted(spec.export),
    }


def _trainer(pinned: Pinned, once: str) -> dict[str, Any]:
    """What enters of who trains; of our own trainer it is the recipe's number."""
    if not pinned.command:
        return {}
    found: dict[str, Any] = {"image": pinned.image, "command": pinned.command, "args": pinned.args}
    return {"trainer": found if by_digest(pinned.image) else {**found, "once": once}}
