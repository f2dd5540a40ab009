"""What was reached in a scenario: words of Ready and kinds of children, from every write, and rules that answered."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from modelyard import names
from modelyard.rule_lists import LISTS
from tests.simulation.fake_api import FakeApi, Write
from tests.simulation.schema import OURS


class Sightings:
    """Collects words for the table of all scenarios."""

    def __init__(self, api: FakeApi) -> None:
        self.seen: set[str] = set()
        api.auditors.append(self._audit)

    def _audit(self, write: Write) -> None:
        kind = write.key[0]
        if kind not in OURS:
            self.seen.add(f"child/{kind}")
        elif write.verb == "status" and write.after is not None:
            for condition in write.after["status"].get("conditions", ()):
                if condition["type"] == names.READY:
                    self.seen.add(f"reason/{kind}/{condition['reason']}")


@contextmanager
def rules_noted(seen: set[str]) -> Iterator[None]:
    """Meanwhile every rule that answers is noted down as rule/kind/name."""
    walkers = [(kind, vars(module)) for kind in LISTS for module in walkers_of(kind)]
    for kind, names_in in walkers:
        names_in["RULES"] = tuple(_noting(seen, kind, rule) for rule in LISTS[kind])
    try:
        yield
    finally:
        for kind, names_in in walkers:
            names_in["RULES"] = sys.modules[f"modelyard.resources.{kind.lower()}"].RULES


def walkers_of(kind: str) -> list[ModuleType]:
    """The modules that go by a kind's list: all that import it but the package itself."""
    package = f"modelyard.resources.{kind.lower()}"
    rules = vars(sys.modules[package])["RULES"]
    inside = [module for name, module in sys.modules.items() if name.startswith(f"{package}.")]
    return [m for m in inside if vars(m).get("RULES") is rules and m.__name__ != f"{package}.rules"]


def _noting(seen: set[str], kind: str, rule: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def ask(picture: Any) -> Any:
        answer = rule(picture)
        if answer is not None:
            seen.add(f"rule/{kind}/{rule.__name__}")
        return answer

    return ask
