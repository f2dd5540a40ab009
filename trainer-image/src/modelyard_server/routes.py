"""Our routes before the SDK's: predictions beside the event loop, versions by name, nothing for those who left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI
from kserve.errors import ModelNotFound, ModelNotReady
from kserve.protocol.dataplane import DataPlane
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from modelyard_server import protocol
from modelyard_server.line import RETRY_AFTER, BusyError
from modelyard_server.predict import Asked, ServedModel

CLIENT_LEFT = 499
"""Status for the figures; nobody reads it."""


class VersionNotFoundError(ModelNotFound):  # type: ignore[misc]
    """Another version than the one that is served."""

    def __init__(self, model: str, wanted: str, served: str) -> None:
        super().__init__(model)
        self.reason = f"version {wanted!r} of {model!r} is not served here, only {served!r}"


class Routes:
    """Predictions of one model, and its metadata and health by version."""

    def __init__(self, plane: DataPlane, model: ServedModel) -> None:
        self._plane = plane
        self._model = model

    def add_to(self, app: FastAPI) -> None:
        """Must run before the SDK adds its own routes, since the first that fits answers."""
        app.add_route("/v1/models/{model}:predict", self.v1, methods=["POST"])
        app.add_route("/v2/models/{model}/infer", self.v2, methods=["POST"])
        app.add_route("/v2/models/{model}/versions/{version}/infer", self.v2, methods=["POST"])
        app.add_route("/v2/models/{model}/versions/{version}/ready", self.ready, methods=["GET"])
        app.add_route("/v2/models/{model}/versions/{version}", self.metadata, methods=["GET"])

    async def v1(self, request: Request) -> Response:
        """V1 prediction."""
        plane, model, headers = self._plane, self._model, dict(request.headers)
        write = protocol.write_v1(plane, model.name, model.version, headers)
        return await self._answer(
            request, lambda body: protocol.read_v1(plane, self._model.codec, body, headers), write
        )

    async def v2(self, request: Request) -> Response:
        """V2 prediction, of the model or of its version by number."""
        plane, model, headers = self._plane, self._model, dict(request.headers)
        write = protocol.write_v2(plane, model.codec, model.version, headers)

        def read(body: bytes) -> protocol.Question:
            return protocol.read_v2(plane, model.name, model.codec, body, headers)

        return await self._answer(request, read, write)

    async def ready(self, request: Request) -> Response:
        """Whether the version is ready."""
        name = await self._checked(request)
        return JSONResponse({"name": name, "ready": True})

    async def metadata(self, request: Request) -> Response:
        """Metadata of the version."""
        name = await self._checked(request)
        return JSONResponse(await self._plane.model_metadata(name))

    async def _answer(
        self, request: Request, read: Callable[[bytes], protocol.Question], write: protocol.Writer
    ) -> Response:
        name = await self._checked(request)
        with suppress(ClientDisconnect):
            body = await request.body()
            asked = Asked(len(body), lambda: read(body), write)
            reply = await unless_left(request.receive, self._plane.infer(name, asked, dict(request.headers)))
            if reply is not None:
                return Response(reply[0].content, headers=reply[0].headers)
        return Response(status_code=CLIENT_LEFT)

    async def _checked(self, request: Request) -> str:
        """The model's name; ModelNotFound, or ModelNotReady."""
        name = str(request.path_params["model"])
        if not await self._plane.model_ready(name, True):
            raise ModelNotReady(name)
        check_version(self._model, request.path_params.get("version", ""))
        return name


def check_version(model: ServedModel, wanted: str) -> None:
    """VersionNotFoundError unless the served version is meant; empty means any."""
    if wanted and wanted != model.version:
        raise VersionNotFoundError(model.name, wanted, model.version)


async def unless_left(receive: Callable[[], Awaitable[Any]], answer: Awaitable[Any]) -> Any | None:
    """The answer; None, and its work given up, once the client has left."""
    answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
    finally:
        leaving.cancel()
        answering.cancel()
    with suppress(asyncio.CancelledError):
        await answering
    return None


async def _left(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def expired(_: Any, fault: Exception) -> JSONResponse:
    """504."""
    return JSONResponse({"error": str(fault)}, status_code=504)


def busy(_: Any, fault: Exception) -> JSONResponse:
    """429, and when to come again."""
    if not isinstance(fault, BusyError):
        raise fault
    return JSONResponse({"error": str(fault)}, status_code=429, headers={"Retry-After": str(RETRY_AFTER)})
