"""The next release, as long as there is none: this checkout with changes planted, and wrong variants of each.

A change is a text in a file and what takes its place. One that no longer fits is an error, not a change left out.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.upgrade.runtime import HEAD


class Edit(NamedTuple):
    """In a file of the package, a text that is there once, and what takes its place; at its end if there is none."""

    file: str
    old: str
    new: str


RATE = '    learning_rate: float | None = Field(default=None, gt=0, le=1, description=f"Peak rate; {BY_RECIPE}.")\n'
LATER = '    later: int | None = Field(default=None, ge=0, description="Came later; absent is as before.")\n'
DECIDING = '        **_always("train.epochs",'
MANIFEST = "    format: Literal[1] = 1\n"
CONFIG = "    checkpoint_keep: int\n"
STATUS = (
    '    observed_generation: int = Field(default=-1, description="The generation of the spec this status is about.")\n'
)
STATES = '    state: Literal["Running", "Succeeded", "Failed"] = Field(\n'
RECIPES = """

for numbered in RECIPES.values():
    numbered[max(numbered) + 1] = next(iter(numbered.values()))
"""
NEXT: tuple[Edit, ...] = (
    Edit("api/hyperparameters.py", RATE, LATER + RATE),
    Edit("api/deciding.py", DECIDING, f'        "train.later": None,\n{DECIDING}'),
    Edit("api/recipes.py", "", RECIPES),
    Edit("api/run.py", MANIFEST, f'{MANIFEST}    later: str = "as before"\n'),
    Edit("api/run.py", CONFIG, f'{CONFIG}    later: str = "as before"\n'),
    Edit("api/common.py", STATUS, f'{STATUS}    later: str | None = Field(default=None, description="Came later.")\n'),
    Edit("api/finetunejob.py", STATES, STATES.replace('"Failed"', '"Failed", "Judging"')),
)
"""A field that decides, a recipe, fields of the manifest, of a run's configuration and of the status, a word of it."""
IMAGES = {"MODELYARD_TRAINER_IMAGE": "trainer:2", "MODELYARD_SERVER_IMAGE": "server:2"}
"""What the chart of the next release brings beside."""

DEFAULT = Edit(
    "api/hyperparameters.py", "    later: int | None = Field(default=None", "    later: int = Field(default=3"
)
"""In the definitions it is written into every object that is read: an older operator takes it for asked for."""
WRONG: dict[str, Edit] = {
    "a field that decides comes by default": DEFAULT,
    "a run that waits takes the newest recipe": Edit(
        "resources/finetunejob/pins.py",
        "    update = _from_profile(case, profile)\n",
        "    update = {**_from_profile(case, profile), 'recipe': (run.pinned.recipe or 0) + 1}\n",
    ),
    "a manifest's digest is of what was understood": Edit(
        "storage/fetch.py",
        "    found = digest_of(data)\n",
        "    found = digest_of(Manifest.model_validate_json(data).to_bytes())\n",
    ),
    "a field of the status has a default": Edit(
        "api/common.py", "    later: str | None = Field(default=None", "    later: int = Field(default=0"
    ),
    "a Job that waits takes the installation's image": Edit(
        "resources/finetunejob/training_job.py", "waits=not lacking", "waits=False"
    ),
    "a Job that waits is compared by all that it is made from": Edit(
        "resources/run_job.py", "if all_counts else {}", "if True else {}"
    ),
    "servers follow the installation in place": Edit(
        "resources/modeldeployment/servers.py", "pinned_template(live), _live", "None, _live"
    ),
    "servers are moved without being asked": Edit(
        "resources/modeldeployment/refresh.py", "return is_asked(s) or", "return True or"
    ),
}
"""What a release must not do, each on top of NEXT."""
FORGETFUL = Edit(
    "resources/parse.py",
    "        raise UnknownStatusError(\n",
    "        return model()\n        raise UnknownStatusError(\n",
)
"""An operator for which a status that it does not understand is none."""


def planted(folder: Path, edits: Iterable[Edit]) -> Path:
    """A copy of this checkout's operator with these changes; the folder for PYTHONPATH."""
    shutil.copytree(HEAD / "modelyard", folder / "modelyard", ignore=shutil.ignore_patterns("__pycache__"))
    for edit in edits:
        path = folder / "modelyard" / edit.file
        text = path.read_text()
        if edit.old and text.count(edit.old) != 1:
            raise AssertionError(f"{edit.file} has {edit.old!r} {text.count(edit.old)} times: plant the change anew")
        path.write_text(text.replace(edit.old, edit.new) if edit.old else text + edit.new)
    return folder
