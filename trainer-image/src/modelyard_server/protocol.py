"""What requests and answers look like in V1 and V2; anything else is InvalidInput, never a fault of the server."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.errors import InferenceError, InvalidInput
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from modelyard_trainer.tasks.protocols import Answer, Codec

JSON_LENGTH = "inference-header-content-length"
MALFORMED = (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError, struct.error)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Question:
    """A request that was read: its instances, not looked at yet, and what its answer must know of it."""

    instances: list[Any]
    request: InferRequest | None = None
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it goes over the wire."""

    content: bytes
    headers: dict[str, str]


def callers_fault(call: Callable[..., T], *more: Any, **named: Any) -> T:
    """What the call gives; InvalidInput if it cannot read what it was given."""
    try:
        return call(*more, **named)
    except InvalidInput:
        raise
    except (*MALFORMED, InferenceError) as fault:
        raise InvalidInput(f"the request cannot be read: {type(fault).__name__}: {fault}") from fault


def form(codec: Codec) -> str:
    """A V1 body in short."""
    fields = ", ".join(f'"{key}": "..."' for key in codec.keys)
    return f'{{"instances": [{{{fields}}}, ...]}}'


def checked(codec: Codec, instances: list[Any], max_rows: int) -> list[Any]:
    """The instances; InvalidInput names the first row that is none, or that there are none or too many."""
    if not instances:
        raise InvalidInput(f"the request has no rows: send at least one {' with '.join(codec.keys)}")
    if len(instances) > max_rows:
        raise InvalidInput(f"the request has {len(instances)} rows: send at most {max_rows} at once")
    what = f"the {codec.keys[0]} of " if len(codec.keys) == 1 else ""
    for row, instance in enumerate(instances):
        try:
            codec.parse(instance)
        except ValueError as fault:
            raise InvalidInput(f"{what}row {row} {fault}") from fault
    return instances


def readable(read: Callable[[list[Any]], T], instances: list[Any]) -> T:
    """What is read of instances that look right; InvalidInput for what shows only then, such as a broken picture."""
    try:
        return read(instances)
    except ValueError as fault:
        raise InvalidInput(str(fault)) from fault


def read_v1(plane: DataPlane, codec: Codec, body: bytes, headers: dict[str, str]) -> Question:
    """A V1 body, plain or as a CloudEvent."""
    payload, attributes = plane.decode(body=body, headers=headers)
    if isinstance(payload, bytes):
        payload = _parsed(payload, headers)
    if not isinstance(payload, dict):
        raise InvalidInput(f"the body must be a JSON object, {form(codec)}")
    if "instances" not in payload:
        raise InvalidInput(f"the body has no 'instances': send {form(codec)}")
    if not isinstance(payload["instances"], list):
        raise InvalidInput(f"'instances' must be a list: send {form(codec)}")
    return Question(payload["instances"], attributes=attributes)


def read_v2(plane: DataPlane, model: str, codec: Codec, body: bytes, headers: dict[str, str]) -> Question:
    """A V2 body: JSON, whatever its Content-Type, or JSON with binary tensors behind it if a header tells where."""
    if JSON_LENGTH in headers:
        return asked_by(codec, callers_fault(_with_binary, model, body, headers))
    request, _ = plane.decode(_valid(_parsed(body, headers)), headers, protocol_version="v2", model_name=model)
    return asked_by(codec, request)


def _valid(body: Any) -> InferenceRequest:
    try:
        return InferenceRequest.model_validate(body)
    except ValidationError as fault:
        raise InvalidInput(f"the request is not valid: {said(fault.errors())}") from fault


def _with_binary(model: str, body: bytes, headers: dict[str, str]) -> InferRequest:
    """JSON whose tensors' data lies behind it; the SDK's own reader takes only bytes that are UTF-8 text."""
    at = int(headers[JSON_LENGTH])
    if not 0 < at <= len(body):
        raise InvalidInput(f"the header {JSON_LENGTH} is {at}, but the body has {len(body)} bytes")
    head, behind = _parsed(body[:at], headers), {}
    for number, tensor in enumerate(head["inputs"]):
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        if size is not None and tensor.get("data") is None:
            behind[number], at = body[at : at + size], at + size
            tensor["data"] = []
    request = InferRequest.from_inference_request(_valid(head), model)
    for number, data in behind.items():
        request.inputs[number]._raw_data = data
    return request


def asked_by(codec: Codec, request: InferRequest) -> Question:
    """A V2 request, of REST or gRPC."""
    outputs = [tensor.name for tensor in codec.tensors]
    for wanted in request.request_outputs or []:
        if wanted.name not in outputs:
            raise InvalidInput(f"there is no output {wanted.name!r}, only {', '.join(outputs)}")
    names = [tensor.name for tensor in request.inputs]
    if sorted(names) != sorted(codec.keys):
        told = "exactly one input tensor" if len(codec.keys) == 1 else "one input tensor each"
        raise InvalidInput(f"expected {told}, {', '.join(map(repr, codec.keys))}, but got {names}")
    columns = {tensor.name: _values(tensor) for tensor in request.inputs}
    rows = {name: len(values) for name, values in columns.items()}
    if len(set(rows.values())) > 1:
        raise InvalidInput(f"each input tensor must have as many rows as the others, but they have {rows}")
    if len(names) == 1:
        return Question(columns[names[0]], request)
    return Question([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], request)


def _values(tensor: InferInput) -> list[Any]:
    check_datatype(tensor.name, tensor.datatype)
    return [value for value in _array(tensor).flat]


def said(errors: Any) -> str:
    """The first errors of a validation in one line."""
    return "; ".join(f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in errors[:5])


def _parsed(body: bytes, headers: dict[str, str]) -> Any:
    """JSON; the message names the headers that decide how a body is read."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        kind = headers.get("content-type") or "none"
        raise InvalidInput(
            f"the body is not JSON: {fault}. Its Content-Type header is {kind}: send application/json, or for binary "
            "tensors application/octet-stream and the header Inference-Header-Content-Length"
        ) from fault


def check_datatype(name: str, datatype: str) -> None:
    """InvalidInput for a tensor that holds no bytes."""
    if datatype != "BYTES":
        raise InvalidInput(f"the tensor {name!r} must have datatype BYTES, not {datatype}")


def _array(tensor: InferInput) -> Any:
    shape = callers_fault(lambda: [int(size) for size in tensor.shape])
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]) or shape[0] < 0:
        raise InvalidInput(f"the tensor {tensor.name!r} must have shape [rows] or [rows, 1], not {shape}")
    try:
        return tensor.as_numpy()
    except MALFORMED as fault:
        raise InvalidInput(f"the data of tensor {tensor.name!r} does not fit its shape {shape}: {fault}") from fault


def write_v1(plane: DataPlane, model: str, version: str, headers: dict[str, str]) -> Writer:
    """Writes {"predictions": [an answer per row], "version"}."""

    def write(question: Question, found: list[Answer]) -> Reply:
        answer = {"predictions": found, "version": version}
        content, more = plane.encode(model, answer, headers, question.attributes)
        return _reply(content, more)

    return write


def write_v2(plane: DataPlane, codec: Codec, version: str, headers: dict[str, str]) -> Writer:
    """Writes the tensors that the request asked for, as JSON or binary."""

    def write(question: Question, found: list[Answer]) -> Reply:
        answer = callers_fault(v2_answer, codec, found, question.request, version)
        content, more = plane.encode(answer.model_name, answer, headers, {})
        return _reply(content, more)

    return write


Writer = Callable[[Question, list[Answer]], Reply]


def _reply(content: Any, headers: dict[str, str]) -> Reply:
    kind = "application/octet-stream" if isinstance(content, bytes) and JSON_LENGTH in headers else "application/json"
    data = content if isinstance(content, bytes) else orjson.dumps(content)
    kept = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return Reply(data, {"content-type": kind, **kept})


def v2_answer(codec: Codec, found: list[Answer], request: InferRequest, version: str) -> InferResponse:
    """V2 answer: the codec's tensors, the first axis of each the rows."""
    arrays = codec.values(found)
    return InferResponse(
        response_id=str(request.id or uuid.uuid4()),
        model_name=request.model_name,
        model_version=version,
        infer_outputs=[
            InferOutput(tensor.name, list(arrays[tensor.name].shape), tensor.datatype, arrays[tensor.name])
            for tensor in codec.tensors
        ],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )
