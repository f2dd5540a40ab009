"""KServe's model server around one loaded version: strict about requests, quiet in its log, graceful at its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, StarletteHTTPException
from fastapi.responses import JSONResponse
from kserve import ModelServer, model_server
from kserve.errors import InvalidInput, ModelNotFound
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.protocol.rest.server import RESTServer

from modelyard.listening import listening_socket
from modelyard_server import grpc_server, metrics
from modelyard_server.line import BusyError, Line
from modelyard_server.load import Loaded
from modelyard_server.middleware import Gate
from modelyard_server.openai import OpenAI
from modelyard_server.predict import ServedModel
from modelyard_server.predictor import Predictor
from modelyard_server.protocol import callers_fault, said
from modelyard_server.routes import Routes, busy, expired
from modelyard_server.writing import Expired, Writer, WritingCodec, WritingPredictor
from modelyard_trainer.machine import cpu_limit, seconds_running

log = logging.getLogger("modelyard_server")
BODIES = 8
"""Bodies of the largest size that may wait at once: they lie in memory."""
CALLERS_FAULTS = (InvalidInput, ModelNotFound, NotImplementedError)


@dataclass(frozen=True)
class Settings:
    """Who is served, where, and how much at once."""

    model: str
    version: str
    http_port: int = 8080
    grpc_port: int = 8081
    max_rows: int = 256
    max_body: int = 8 << 20
    max_waiting: int = 100
    max_writing: int = 8
    """Answers that are written token by token at once."""
    most_seconds: float = 300.0
    """From the request for such an answer to its last token."""
    drain_seconds: float = 5.0


class EveryAddress(RESTServer):  # type: ignore[misc]
    """The SDK's own listens on IPv4 alone."""

    async def start(self) -> None:
        """Serve on every address until the process is asked to end."""
        self.create_application()
        await self._server.serve(sockets=[listening_socket(self.config.port)])


class StrictDataPlane(DataPlane):  # type: ignore[misc]
    """Every malformed request is the caller's fault; not ready any more once the server is asked to end."""

    draining = False
    version = ""

    def metadata(self) -> dict[str, Any]:
        """What the server can do: versions are served by other pods, so there is no repository to load from."""
        return {**super().metadata(), "extensions": ["binary_tensor_data"]}

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """Of the one version that is served."""
        told = await super().model_metadata(model_name)
        return {**told, "platform": "onnxruntime_onnx", "versions": [self.version]}

    def decode(self, body: Any, headers: Any, *more: Any, **named: Any) -> Any:
        """The request; InvalidInput for anything that is none."""
        return callers_fault(super().decode, body, headers, *more, **named)

    def encode(self, *more: Any, **named: Any) -> Any:
        """The answer; InvalidInput if it was asked for in a form that there is not."""
        return callers_fault(super().encode, *more, **named)

    async def ready(self) -> bool:
        """Whether new requests should come here."""
        return not self.draining


class FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """One version, loaded before the server listens: nobody may unload it by a request."""

    async def load(self, model_name: str) -> None:
        """Refused."""
        raise InvalidInput("this server serves one version only: change the ModelDeployment instead")

    async def unload(self, model_name: str) -> None:
        """Refused."""
        await self.load(model_name)


def run(settings: Settings, loaded: Loaded) -> None:
    """Serve until SIGTERM; ValueError if the version cannot answer its own sample."""
    codec, writer, predictor = loaded.codec, None, Predictor(loaded)
    if isinstance(codec, WritingCodec):
        writer = Writer(loaded, codec, settings.max_writing, settings.max_waiting, settings.most_seconds)
        predictor = WritingPredictor(loaded, codec, writer)
    predictor.check()
    threads = settings.max_writing if writer else cpu_limit()  # those that wait for a writer compute nothing
    line = Line(threads, settings.max_waiting, BODIES * settings.max_body)
    model = ServedModel(settings.model, settings.version, predictor, settings.max_rows, line)
    server = ModelServer(
        http_port=settings.http_port,
        enable_grpc=False,  # ours runs beside it, see grpc_server
        enable_latency_logging=False,
    )
    model_server.RESTServer = EveryAddress  # the SDK makes it itself, when it starts
    server.dataplane = StrictDataPlane(model_registry=server.registered_models)
    server.dataplane.version = settings.version
    server.model_repository_extension = FixedRepository(server.registered_models)
    _quiet()
    _dress(settings, server, loaded)
    Routes(server.dataplane, model).add_to(app)
    if writer:
        OpenAI(settings.model, settings.version, codec, writer).add_to(app)
    server.start([model])


def _dress(settings: Settings, server: ModelServer, loaded: Loaded) -> None:
    metrics.MODEL.labels(settings.model, settings.version, loaded.info.run).set(1)
    plane = server.dataplane
    app.add_middleware(Gate, max_body=settings.max_body, version=settings.version, leaving=lambda: plane.draining)
    app.add_exception_handler(RequestValidationError, _unprocessable)
    app.add_exception_handler(BusyError, busy)
    app.add_exception_handler(Expired, expired)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.router.lifespan_context = _lifespan(settings, server)


def _lifespan(settings: Settings, server: ModelServer) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    plane, repository = server.dataplane, server.model_repository_extension

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        _drain_on_sigterm(settings.drain_seconds, plane)
        async with grpc_server.serving(settings.grpc_port, settings.max_body, plane, repository):
            metrics.START_SECONDS.set(seconds_running())
            log.info("serving %s version %s after %.1f s", settings.model, settings.version, seconds_running())
            yield

    return lifespan


def _drain_on_sigterm(seconds: float, plane: StrictDataPlane) -> None:
    """Go on answering for some seconds after SIGTERM, until every proxy has learnt that this pod ends."""
    stop, loop = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop()

    def drain(number: int, frame: FrameType | None) -> None:
        if plane.draining or not callable(stop):
            return
        plane.draining = True
        log.info("asked to end: answering for %.0f s more", seconds)
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)


def _unprocessable(_: Any, fault: Exception) -> JSONResponse:
    errors = fault.errors() if isinstance(fault, RequestValidationError) else []
    return JSONResponse({"error": f"the request is not valid: {said(errors)}"}, status_code=400)


def _refused(_: Any, fault: Exception) -> JSONResponse:
    code = fault.status_code if isinstance(fault, StarletteHTTPException) else 500
    return JSONResponse({"error": str(getattr(fault, "detail", fault))}, status_code=code)


def _quiet() -> None:
    """One line per event of the server itself; requests are counted in /metrics, not logged."""
    for name in ("uvicorn.access", "uvicorn.error", "kserve", "kserve.trace"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("kserve").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, CALLERS_FAULTS)


def settings_from_environment(http_port: int, grpc_port: int) -> Settings:
    """Settings of this pod; ValueError for a number that is none."""
    return Settings(
        model=os.environ.get("MODELYARD_MODEL") or "model",
        version=os.environ.get("MODELYARD_VERSION") or "0",
        http_port=http_port,
        grpc_port=grpc_port,
        max_rows=int(os.environ.get("MODELYARD_MAX_ROWS") or Settings.max_rows),
        max_body=int(os.environ.get("MODELYARD_MAX_BODY_BYTES") or Settings.max_body),
        max_writing=int(os.environ.get("MODELYARD_MAX_WRITING") or Settings.max_writing),
        most_seconds=float(os.environ.get("MODELYARD_MOST_SECONDS") or Settings.most_seconds),
        max_waiting=int(os.environ.get("MODELYARD_MAX_WAITING") or Settings.max_waiting),
        drain_seconds=float(os.environ.get("MODELYARD_DRAIN_SECONDS") or Settings.drain_seconds),
    )
