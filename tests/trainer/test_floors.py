"""Real rows are learned: examples' objects at their real size, with the recipes as they are shipped.

`python -m tests.study.floor_rows` fetches the rows, where there is a network; `make test-full` does so before.
"""

from __future__ import annotations

import pytest

from tests.study.floors import Setting, job_of, measure, table
from tests.trainer.harness import TrainerHarness

pytestmark = [pytest.mark.full, pytest.mark.timeout(3600)]


def test_entities_are_more_than_words(harness: TrainerHarness) -> None:
    found = measure(harness, "entities", Setting())
    print(table([found]))
    [required] = job_of("entities").evaluate.gate.require
    reached, words = found["values"]["micro_f1"], found["baselines"]["commonest_tag_of_word"]
    assert reached >= (required.min or 0) > words
    assert "diverged" not in found
