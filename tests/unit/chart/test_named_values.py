"""Chart values that a message names are there."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = ("operator/src", "trainer-image/src")
NAMED = re.compile(r"chart values? ([a-z]\w*(?:\.\w+)*(?:\.\*)?(?: and [a-z]\w*\.[\w.]*\w)?)")
SCHEMA = json.loads((ROOT / "charts/modelyard/values.schema.json").read_text())


def _named() -> set[str]:
    texts = [path.read_text() for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    found = (match for text in texts for match in NAMED.findall(text))
    return {value.removesuffix(".*") for match in found for value in match.split(" and ")}


def _exists(value: str) -> bool:
    node = SCHEMA
    for part in value.split("."):
        if part not in node.get("properties", {}):
            return False
        node = node["properties"][part]
    return True


@pytest.mark.parametrize("value", sorted(_named()))
def test_a_chart_value_in_a_message_exists(value: str) -> None:
    assert _exists(value), f"a message names the chart value {value}, which values.schema.json does not know"


def test_messages_are_found_and_a_wrong_value_is_noticed() -> None:
    assert {"image.trainer", "image.server", "store"} <= _named()
    assert not _exists("trainer.image")
