"""The version behind KServe's interface: a request comes as bytes or message, its answer goes as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kserve import Model

from modelyard_server import metrics, protocol
from modelyard_server.line import Line
from modelyard_server.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came: its size in bytes, how its instances are read, and how its answer is written."""

    size: int
    read: Callable[[], protocol.Question]
    write: Callable[[protocol.Question, list[Any]], Any]


class ServedModel(Model):  # type: ignore[misc]
    """A version under KServe's V1 and V2 protocols; every answer says which version gave it."""

    def __init__(self, name: str, version: str, predictor: Predictor, max_rows: int, line: Line) -> None:
        super().__init__(name)
        self.version = version
        self.codec = predictor.codec
        self._predictor = predictor
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
        instances = protocol.checked(self.codec, question.instances, self._max_rows)
        read = protocol.readable(self._predictor.read, instances)
        found = self._predictor.answers(read, wanted)
        metrics.ROWS.inc(len(instances))
        return asked.write(question, found)

    def get_input_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        return [{"name": key, "datatype": "BYTES", "shape": [-1]} for key in self.codec.keys]

    def get_output_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        return [
            {"name": tensor.name, "datatype": tensor.datatype, "shape": [-1, *tensor.shape]}
            for tensor in self.codec.tensors
        ]
