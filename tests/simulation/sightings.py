"""What was reached in a scenario: the words of Ready and the kinds of children, from every write."""

from __future__ import annotations

from modelyard import names
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
