"""Texts in, classes out: the model itself, and the same behind KServe's interface."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from kserve import InferRequest, InferResponse, Model

from modelyard_server import metrics, protocol
from modelyard_server.load import Loaded
from modelyard_trainer.tasks.text_classification import Prediction

BATCH_ROWS = 32


class Classifier:
    """Answers texts in batches of similar length; safe to call from several threads."""

    def __init__(self, loaded: Loaded, batch_rows: int = BATCH_ROWS) -> None:
        self.info = loaded.info
        self._loaded = loaded
        self._batch_rows = batch_rows
        self._inputs = {tensor.name for tensor in loaded.session.get_inputs()}

    def predict(self, texts: list[str]) -> list[Prediction]:
        """One prediction per text, in the order of the texts."""
        ids = self._loaded.task.token_ids(self._loaded.tokenizer, texts)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        found: dict[int, Prediction] = {}
        for start in range(0, len(order), self._batch_rows):
            rows = order[start : start + self._batch_rows]
            found.update(zip(rows, self._batch([ids[row] for row in rows]), strict=True))
        return [found[row] for row in range(len(texts))]

    def check(self) -> None:
        """Answer the version's own sample; ValueError if that gives no probabilities."""
        scores = list(self.predict([self.info.sample])[0].scores.values())
        if not np.isfinite(scores).all():
            raise ValueError(f"the model answers its own sample with {scores}: train a new version")

    def _batch(self, ids: list[list[int]]) -> list[Prediction]:
        tensors = self._loaded.task.pad(ids, self._loaded.pad_id)
        feed = {name: tensor for name, tensor in tensors.items() if name in self._inputs}
        return self._loaded.task.decode(self._loaded.session.run(None, feed)[0], self.info.labels)


class ServedModel(Model):  # type: ignore[misc]
    """A classifier under KServe's V1 and V2 protocols; every answer says which version gave it."""

    def __init__(self, name: str, version: str, classifier: Classifier, max_rows: int, threads: int) -> None:
        super().__init__(name)
        self.version = version
        self._classifier = classifier
        self._max_rows = max_rows
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self.ready = True

    async def preprocess(self, payload: Any, headers: dict[str, str] | None = None) -> Any:
        """The request and its texts; InvalidInput if it is not one."""
        texts = protocol.texts_of(payload, self._max_rows)
        if isinstance(payload, InferRequest):
            protocol.check_outputs(payload)
        return payload, texts

    async def predict(
        self, payload: Any, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> Any:
        """The request and one prediction per text; runs beside the event loop, so that health checks are answered."""
        request, texts = payload
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._pool, self._classifier.predict, texts)
        metrics.ROWS.inc(len(texts))
        return request, found

    async def postprocess(
        self, result: Any, headers: dict[str, str] | None = None, response_headers: dict[str, str] | None = None
    ) -> dict[str, Any] | InferResponse:
        """The answer in the protocol of the request."""
        request, found = result
        if isinstance(request, InferRequest):
            return protocol.v2_answer(found, self._classifier.info.labels, request, self.version)
        return protocol.v1_answer(found, self.version)

    def get_input_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        return [{"name": protocol.TENSOR, "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        """V2 metadata."""
        labels = len(self._classifier.info.labels)
        shapes = {"label": ("BYTES", [-1]), "score": ("FP32", [-1]), "scores": ("FP32", [-1, labels])}
        return [{"name": name, "datatype": kind, "shape": shape} for name, (kind, shape) in shapes.items()]
