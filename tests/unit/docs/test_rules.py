"""The page of rules is made of the lists that `decide` walks, and no rule is written that no list has."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.lifecycle import RECONCILERS
from modelyard.rule_lists import LISTS, sentence_of
from tests.simulation.sightings import walkers_of


def test_every_kind_but_the_profiles_has_a_list() -> None:
    assert {reconciler.kind for reconciler in RECONCILERS} - {"TrainingProfile", "ServingProfile"} == {*LISTS}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_has_every_rule_of_its_file_in_the_order_in_which_they_are_read(kind: str) -> None:
    module = sys.modules[LISTS[kind][0].__module__]
    assert [*LISTS[kind]] == [found for found in vars(module).values() if _is_rule(found)]


@pytest.mark.parametrize("kind", LISTS)
def test_a_reconciler_walks_the_list_that_the_page_shows(kind: str) -> None:
    assert [module.RULES for module in walkers_of(kind)] == [LISTS[kind]]


@pytest.mark.parametrize("rule", [rule for rules in LISTS.values() for rule in rules], ids=lambda rule: rule.__name__)
def test_a_rule_says_when_it_applies_and_what_it_does(rule: Callable[[Any], Any]) -> None:
    when, then = sentence_of(rule)
    assert when and then and "|" not in when + then


def _is_rule(found: object) -> bool:
    return inspect.isfunction(found) and [*inspect.signature(found).parameters] == ["p"] and found.__name__[0] != "_"
