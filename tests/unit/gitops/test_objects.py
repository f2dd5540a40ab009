"""The scripts for Argo CD on objects of real runs, which tests/e2e/seen.py keeps."""

import copy
import json
from pathlib import Path

import pytest

from modelyard.api.kinds import KINDS
from tests import argocd, failure_modes

OBJECTS = {path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "objects").glob("*"))}
SPECS = {kind.kind: kind.spec for kind in KINDS}
each_object = pytest.mark.parametrize("name", OBJECTS)


def test_objects_of_every_kind() -> None:
    assert {obj["kind"] for obj in OBJECTS.values()} == set(SPECS)


@each_object
def test_health_is_what_the_name_says_and_the_table_allows(name: str) -> None:
    status, message = argocd.health(OBJECTS[name])
    assert status.lower() == name.rsplit("-", 1)[1] and message
    failure_modes.check(OBJECTS[name])


@each_object
def test_an_edit_is_progress_until_the_operator_has_seen_it(name: str) -> None:
    edited = copy.deepcopy(OBJECTS[name])
    edited["metadata"]["generation"] += 1
    assert argocd.health(edited)[0] == "Progressing"


@each_object
def test_an_action_changes_the_spec_and_nothing_else(name: str) -> None:
    obj = OBJECTS[name]
    for action, enabled in argocd.actions(obj).items():
        if enabled:
            made = argocd.press(action, obj)
            assert made["spec"] != obj["spec"]
            SPECS[obj["kind"]].model_validate(made["spec"])
            assert made["metadata"]["name"] == obj["metadata"]["name"] and made["kind"] == obj["kind"]
