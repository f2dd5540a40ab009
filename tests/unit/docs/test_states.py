"""docs/states.md draws the states that the API has: none is missing, none is made up, and each can be reached."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from modelyard.api.finetunejob import Run
from modelyard.api.modeldeployment import STATES
from tests.docs import ROOT

NONE = "[*]"
CONDITION = {"True", "False", "Unknown"}
DRAWN = re.findall(r"^```mermaid\n(.*?)^```$", (ROOT / "docs/states.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("text", "states"),
    [*zip(DRAWN, (set(get_args(Run.model_fields["state"].annotation)), {*STATES}, CONDITION), strict=True)],
)
def test_every_state_is_drawn_and_can_be_reached(text: str, states: set[str]) -> None:
    moves = re.findall(r"^ +(\S+) --> (\S+): .+$", text, re.MULTILINE)
    assert len(moves) == text.count("-->"), "every way says when it is gone"
    assert {state for move in moves for state in move} == states | {NONE}
    reached = {NONE}
    for _ in states:
        reached |= {new for old, new in moves if old in reached}
    assert reached == states | {NONE}
