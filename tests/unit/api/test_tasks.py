"""The table of tasks is the one place that names metrics; what follows from it agrees with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from modelyard.api import recipes
from modelyard.api.common import Format, Task
from modelyard.api.crd import structural_schema
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.tasks import FORMATS, TASKS

ROOT = Path(__file__).parents[3]
OPERATOR = ROOT / "operator/src/modelyard"
HYPERPARAMETERS = {"precision"}
"""Names of metrics that mean something else, too."""


def test_no_other_place_of_the_operator_names_a_metric() -> None:
    names = {metric.name for task in TASKS.values() for metric in task.metrics} - HYPERPARAMETERS
    spelt = re.compile(rf"\b({'|'.join(sorted(names))}|macro F1)\b")
    files = [path for path in OPERATOR.rglob("*.py") if path != OPERATOR / "api/tasks.py"]
    found = [
        f"{path.relative_to(OPERATOR)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if spelt.search(line)
    ]
    assert len(files) > 100
    assert not found


def test_every_task_is_whole() -> None:
    for task in TASKS.values():
        names = [metric.name for metric in task.metrics]
        assert len(set(names)) == len(names)
        assert task.primary in task.named(per_class=False) or (task.foreign and not names)
        for one in task.support:
            assert set(one.formats) <= set(FORMATS)
            assert one.methods


def test_words_of_the_api_are_those_of_the_table() -> None:
    assert get_args(Task)[0] is str
    schema = structural_schema(FineTuneJobSpec)["properties"]
    assert schema["task"]["enum"] == list(TASKS)
    assert schema["export"]["items"]["enum"] == list(FORMATS)
    assert get_args(Format)[0] is str


def test_every_method_of_a_task_has_a_recipe() -> None:
    assert set(recipes.RECIPES) == {
        (task.name, one.start, method) for task in TASKS.values() for one in task.support for method in one.methods
    }


def test_a_task_is_named_only_where_contributing_says() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text().partition("## Adding a task")[2]
    allowed = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    assert len(allowed) == 3
    spelt = {name: re.compile(rf"\b{name.replace('-', '[-_]')}\b") for name in TASKS}
    files = [path for folder in ("operator/src", "trainer-image/src") for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 150
    for name, pattern in spelt.items():
        places = tuple(where.replace("<task>", name.replace("-", "_")) for where in allowed)
        named = [path.relative_to(ROOT).as_posix() for path in files if pattern.search(path.read_text())]
        assert [file for file in named if not file.startswith(places)] == []
        assert {place for place in places if not any(file.startswith(place) for file in named)} <= {places[2]}


def test_a_task_has_its_three_parts() -> None:
    """Its folder holds them; that they fit the protocols, the trainer's own tests show."""
    tasks = ROOT / "trainer-image/src/modelyard_trainer/tasks"
    for name in TASKS:
        folder = tasks / name.replace("-", "_")
        wanted = {"rows.py"} if TASKS[name].foreign else {"rows.py", "codec.py", "learner.py"}
        parts = {path.name for path in folder.iterdir()}
        assert wanted <= parts and not ({"codec.py", "learner.py"} - wanted) & parts
