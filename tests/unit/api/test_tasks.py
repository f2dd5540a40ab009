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

OPERATOR = Path(__file__).parents[3] / "operator/src/modelyard"
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
        assert task.primary in task.named(per_class=False)
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
