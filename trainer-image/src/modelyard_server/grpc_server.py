"""gRPC V2 beside REST: the SDK's own servicer, strict about requests, each one counted."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from grpc import StatusCode, aio
from kserve import InferRequest
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady, ServerNotLive, ServerNotReady
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import add_GRPCInferenceServiceServicer_to_server
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.utils.utils import to_headers

from modelyard_server import metrics
from modelyard_server.line import BusyError
from modelyard_server.predict import Asked, ServedModel
from modelyard_server.protocol import Question, asked_by, callers_fault, check_datatype, v2_answer
from modelyard_server.routes import check_version
from modelyard_server.writing import Expired

log = logging.getLogger("modelyard_server")
INFER = "/ModelInfer"
GRACE_SECONDS = 10.0
STATUSES: tuple[tuple[type[Exception], StatusCode], ...] = (
    (BusyError, StatusCode.RESOURCE_EXHAUSTED),
    (Expired, StatusCode.DEADLINE_EXCEEDED),
    (InvalidInput, StatusCode.INVALID_ARGUMENT),
    (ModelNotFound, StatusCode.NOT_FOUND),
    (NotImplementedError, StatusCode.UNIMPLEMENTED),
    (ModelNotReady, StatusCode.UNAVAILABLE),
    (ServerNotReady, StatusCode.UNAVAILABLE),
    (ServerNotLive, StatusCode.UNAVAILABLE),
)


class StrictServicer(InferenceServicer):  # type: ignore[misc]
    """A request that cannot be read is the caller's fault."""

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802  the name that the protocol gives
        """One prediction."""
        model: ServedModel = self._data_plane.get_model_from_registry(request.model_name)
        check_version(model, request.model_version)

        def write(question: Question, found: list[Any]) -> Any:
            return callers_fault(v2_answer(model.codec, found, question.request, model.version).to_grpc)

        asked = Asked(request.ByteSize(), lambda: self._read(model, request), write)
        answer, _ = await self._data_plane.infer(
            request=asked, headers=to_headers(context), model_name=request.model_name
        )
        return answer

    async def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Metadata of the served version."""
        check_version(self._data_plane.get_model_from_registry(request.name), request.version)
        return pb.ModelMetadataResponse(**await self._data_plane.model_metadata(request.name))

    async def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Whether the served version is ready."""
        check_version(self._data_plane.get_model_from_registry(request.name), request.version)
        return await super().ModelReady(request, context)

    def _read(self, model: ServedModel, request: Any) -> Question:
        self.validate_grpc_request(request)
        for tensor in request.inputs:
            check_datatype(tensor.name, tensor.datatype)
        return asked_by(model.codec, callers_fault(InferRequest.from_grpc, request))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a request that is no message of its method's kind."""

    told: str


class Statuses(ExceptionToStatusInterceptor):  # type: ignore[misc]
    """Faults as gRPC statuses with a message for the caller; predictions are counted with the status they ended in."""

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """The method's handler; bytes that it cannot read are its caller's fault too."""
        handler = await super().intercept_service(continuation, handler_call_details)
        return handler and handler._replace(request_deserializer=_readable(handler.request_deserializer))

    async def intercept(
        self, method: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any, method_name: str
    ) -> Any:
        """One call."""
        started, code = time.perf_counter(), StatusCode.CANCELLED
        try:
            if isinstance(request, Unreadable):
                raise InvalidInput(request.told)
            answer = await method(request, context)
            code = StatusCode.OK
            return answer
        except Exception as fault:
            code = status_of(fault)
            await self.handle_exception(fault, request, context, method_name)
        finally:
            if method_name.endswith(INFER):
                metrics.count("grpc", code.name, time.perf_counter() - started)

    async def handle_exception(self, ex: Exception, request: Any, context: Any, method_name: str) -> None:
        """End the call with a status; what is no caller's fault is logged, not told."""
        code = status_of(ex)
        if code is StatusCode.INTERNAL:
            log.exception("%s failed", method_name)
        await context.abort(code, "internal error, see the server's log" if code is StatusCode.INTERNAL else str(ex))


def _readable(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def message(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError as fault:
            return Unreadable(f"the request cannot be read: {fault}")

    return message


def status_of(fault: Exception) -> StatusCode:
    """The status that says whose fault it is."""
    return next((code for kind, code in STATUSES if isinstance(fault, kind)), StatusCode.INTERNAL)


@asynccontextmanager
async def serving(
    port: int, max_body: int, plane: DataPlane, repository: ModelRepositoryExtension
) -> AsyncIterator[None]:
    """Answer gRPC on a port while the context lasts, requests of `max_body` bytes at most; port 0: no gRPC."""
    if not port:
        yield
        return
    options = [("grpc.max_receive_message_length", max_body), ("grpc.so_reuseport", 0)]
    server = aio.server(ThreadPoolExecutor(1), interceptors=(Statuses(),), options=options)
    add_GRPCInferenceServiceServicer_to_server(StrictServicer(plane, repository), server)
    server.add_insecure_port(f"[::]:{port}")
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE_SECONDS)
