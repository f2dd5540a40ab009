"""What requests and answers look like in V1 and V2; anything else is InvalidInput, never a fault of the server."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import numpy as np
from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.errors import InferenceError, InvalidInput

from modelyard_trainer.tasks.text_classification import Prediction

TENSOR = "text"
OUTPUTS = ("label", "score", "scores")
V1_FORM = '{"instances": [{"text": "..."}, ...]}'
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, struct.error)

T = TypeVar("T")


def callers_fault(call: Callable[..., T], *more: Any, **named: Any) -> T:
    """What the call gives; InvalidInput if it cannot read what it was given."""
    try:
        return call(*more, **named)
    except InvalidInput:
        raise
    except (*MALFORMED, InferenceError) as fault:
        raise InvalidInput(f"the request cannot be read: {type(fault).__name__}: {fault}") from fault


def texts_of(payload: Any, max_rows: int) -> list[str]:
    """The texts of a V1 body or a V2 request, at most `max_rows`."""
    texts = _of_tensor(payload) if isinstance(payload, InferRequest) else _of_instances(payload)
    if not texts:
        raise InvalidInput("the request has no rows: send at least one text")
    if len(texts) > max_rows:
        raise InvalidInput(f"the request has {len(texts)} rows: send at most {max_rows} at once")
    return [_checked(text, row) for row, text in enumerate(texts)]


def _of_instances(payload: Any) -> list[Any]:
    if isinstance(payload, bytes):
        payload = _parsed(payload)
    if not isinstance(payload, dict):
        raise InvalidInput(f"the body must be a JSON object, {V1_FORM}")
    if "instances" not in payload:
        raise InvalidInput(f"the body has no 'instances': send {V1_FORM}")
    if not isinstance(payload["instances"], list):
        raise InvalidInput(f"'instances' must be a list: send {V1_FORM}")
    return [_of_instance(instance, row) for row, instance in enumerate(payload["instances"])]


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as fault:
        raise InvalidInput(f"the body is not JSON: {fault}") from fault


def _of_instance(instance: Any, row: int) -> Any:
    if not isinstance(instance, dict):
        return instance
    if TENSOR not in instance:
        raise InvalidInput(f"row {row} has no 'text'")
    return instance[TENSOR]


def _of_tensor(request: InferRequest) -> list[Any]:
    names = [tensor.name for tensor in request.inputs]
    if names != [TENSOR]:
        raise InvalidInput(f"expected exactly one input tensor, 'text', but got {names}")
    tensor = request.inputs[0]
    check_datatype(tensor.name, tensor.datatype)
    return [value for value in _array(tensor).flat]


def check_datatype(name: str, datatype: str) -> None:
    """InvalidInput for a tensor that holds no texts."""
    if datatype != "BYTES":
        raise InvalidInput(f"the tensor {name!r} must have datatype BYTES, not {datatype}")


def _array(tensor: InferInput) -> Any:
    shape = [int(size) for size in tensor.shape]
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 0:
        raise InvalidInput(f"the tensor 'text' must have shape [rows] or [rows, 1], not {shape}")
    try:
        return tensor.as_numpy()
    except MALFORMED as fault:
        raise InvalidInput(f"the data of tensor 'text' does not fit its shape {shape}: {fault}") from fault


def _checked(text: Any, row: int) -> str:
    try:
        if isinstance(text, bytes):
            return text.decode()
        if isinstance(text, str):
            text.encode()
            return text
    except UnicodeError as fault:
        raise InvalidInput(f"the text of row {row} is not valid Unicode: {fault}") from fault
    raise InvalidInput(f"the text of row {row} must be a string, not {type(text).__name__}")


def check_outputs(request: InferRequest) -> None:
    """InvalidInput if a V2 request asks for a tensor that there is not."""
    for wanted in request.request_outputs or []:
        if wanted.name not in OUTPUTS:
            raise InvalidInput(f"there is no output {wanted.name!r}, only {', '.join(OUTPUTS)}")


def v1_answer(found: list[Prediction], version: str) -> dict[str, Any]:
    """Body of a V1 answer."""
    return {"predictions": [asdict(row) for row in found], "version": version}


def v2_answer(found: list[Prediction], labels: list[str], request: InferRequest, version: str) -> InferResponse:
    """V2 answer: label BYTES (rows), score FP32 (rows), scores FP32 (rows, labels in the model's order)."""
    columns = {
        "label": ("BYTES", np.array([row.label for row in found], dtype=np.object_)),
        "score": ("FP32", np.array([row.score for row in found], dtype=np.float32)),
        "scores": ("FP32", np.array([[row.scores[label] for label in labels] for row in found], dtype=np.float32)),
    }
    return InferResponse(
        response_id=str(request.id or uuid.uuid4()),
        model_name=request.model_name,
        model_version=version,
        infer_outputs=[InferOutput(name, list(data.shape), kind, data) for name, (kind, data) in columns.items()],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
