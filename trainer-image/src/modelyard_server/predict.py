"""The classifier behind KServe's interface: a request comes as bytes or message, its answer goes as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kserve import Model

from modelyard_server import metrics, protocol
from modelyard_server.classifier import Classifier
from modelyard_server.line import Line


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: its size in bytes, how its instances are read, and how its answer is written."""

    size: int
    read: Callable[[], protocol.Question]
    write: Callable[[protocol.Question, list[Any]], Any]


class ServedModel(Model):  # type: ignore[misc]
    """A classifier under KServe's V1 and V2 protocols; every answer says which version gave it."""

    def __init__(self, name: str, version: str, classifier: Classifier, max_rows: int, line: Line) -> None:
        super().__init__(name)
        self.version = version
        self.labels = classifier.info.labels
        self._classifier = classifier
        self._max_rows = max_rows
        self._line = line
        self.ready = True

    async def predict(
        self, payload: Asked, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """The answer, read, computed and written in a thread: the event loop goes on answering health checks."""
        return await self._line.run(payload.size, lambda wanted: self._answer(payload, wanted))

    def _answer(self, asked: Asked, wanted: Callable[[], bool]) -> Any:
        question = asked.read()
        instances = protocol.checked(question.instances, self._max_rows)
        found = self._classifier.predict(instances, wanted)
        metrics.ROWS.inc(len(instances))
        return asked.write(question, found)

    def get_input_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        return [{"name": protocol.TENSOR, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        shapes = {"label": ("BYTES", [-1]), "score": ("FP32", [-1]), "scores": ("FP32", [-1, len(self.labels)])}
        return [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in shapes.items()]
