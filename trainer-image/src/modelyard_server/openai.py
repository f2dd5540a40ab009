"""The OpenAI API's models, chat/completions and completions under /openai/v1, also streamed.

The SDK has such routes, but their types are vLLM's and they are not there without it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from modelyard_server.line import RETRY_AFTER, BusyError
from modelyard_server.routes import CLIENT_LEFT, unless_left
from modelyard_server.writing import Expired, Order, Writer
from modelyard_trainer.tasks.protocols import Reading

ROOT = "/openai/v1"
CHAT, PLAIN = "chat.completion", "text_completion"
PLAIN_TOKENS = 16
"""Tokens of a completion where a request does not say; OpenAI's own number."""
UNSUPPORTED: dict[str, tuple[Any, ...]] = {
    **{name: (None, 1) for name in ("n", "best_of")},
    **{name: (None, 0, 0.0) for name in ("presence_penalty", "frequency_penalty")},
    **{name: (None, False) for name in ("logprobs", "echo")},
    **{name: (None, [], {}, "none") for name in ("tools", "functions", "tool_choice", "logit_bias", "suffix")},
    "response_format": (None, {"type": "text"}),
    "top_logprobs": (None, 0),
}
"""What is not done, and the values with which that changes nothing."""


class Refused(Exception):
    """A request that is answered with an error in the form of the API."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param


@dataclass(frozen=True)
class Wanted:
    """A request that was read."""

    kind: str
    reading: Reading
    stream: bool
    usage: bool
    """Whether a stream ends with the tokens that were used."""


class OpenAI:
    """The API of one model."""

    def __init__(self, model: str, version: str, codec: Any, writer: Writer) -> None:
        self._model, self._version, self._codec, self._writer = model, version, codec, writer
        self._since = int(time.time())

    def add_to(self, app: FastAPI) -> None:
        """Must run before the SDK adds its own routes, since the first that fits answers."""
        app.add_route(f"{ROOT}/models", self.models, methods=["GET"])
        app.add_route(f"{ROOT}/models/{{model}}", self.one, methods=["GET"])
        app.add_route(f"{ROOT}/chat/completions", self.chat, methods=["POST"])
        app.add_route(f"{ROOT}/completions", self.plain, methods=["POST"])

    async def models(self, request: Request) -> Response:
        """The one model."""
        return JSONResponse({"object": "list", "data": [self._card()]})

    async def one(self, request: Request) -> Response:
        """The model by name."""
        name = request.path_params["model"]
        return JSONResponse(self._card()) if name == self._model else refusal(self._unknown(name))

    async def chat(self, request: Request) -> Response:
        """The answer to a conversation."""
        return await self._answered(request, CHAT)

    async def plain(self, request: Request) -> Response:
        """How a text goes on."""
        return await self._answered(request, PLAIN)

    async def _answered(self, request: Request, kind: str) -> Response:
        try:
            body = await request.body()
            wanted = await asyncio.to_thread(self._read, kind, body)
            news = asyncio.Event()
            loop = asyncio.get_running_loop()
            draft = self._codec.draft(wanted.reading)
            order = self._writer.order(wanted.reading, draft, lambda: loop.call_soon_threadsafe(news.set))
            if wanted.stream:
                parts = self._streamed(request, wanted, order, news)
                return StreamingResponse(parts, media_type="text/event-stream", headers={"cache-control": "no-cache"})
            return await self._whole(request, wanted, order, news)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)
        except (Refused, BusyError, Expired) as fault:
            return refusal(fault)

    def _read(self, kind: str, body: bytes) -> Wanted:
        """Checked and cut into tokens; Refused says what is wrong."""
        try:
            asked = orjson.loads(body)
        except orjson.JSONDecodeError as fault:
            raise Refused(400, f"the body is not JSON: {fault}") from fault
        if not isinstance(asked, dict):
            raise Refused(400, "the body must be a JSON object")
        if asked.get("model") != self._model:
            raise self._unknown(asked.get("model"))
        for name, harmless in UNSUPPORTED.items():
            if asked.get(name) not in harmless:
                raise Refused(400, f"'{name}' is not supported here: leave it out", "unsupported_parameter", name)
        try:
            [reading] = self._codec.read([self._instance(kind, asked)])
        except ValueError as fault:
            raise Refused(400, f"the request {fault}", "invalid_value") from fault
        if reading.cut:
            raise Refused(
                400,
                f"prompt and answer have more than the {self._codec.context} tokens of this model: shorten the prompt, "
                "or lower max_tokens",
                "context_length_exceeded",
                "messages" if kind == CHAT else "prompt",
            )
        options = asked.get("stream_options") or {}
        return Wanted(kind, reading, bool(asked.get("stream")), bool(options.get("include_usage")))

    def _instance(self, kind: str, asked: dict[str, Any]) -> dict[str, Any]:
        """The request as the codec takes one."""
        names = ("top_p", "top_k", "seed", "stop")
        made = {name: asked[name] for name in names if asked.get(name) is not None}
        made["temperature"] = 1.0 if asked.get("temperature") is None else asked["temperature"]
        most = asked.get("max_completion_tokens") or asked.get("max_tokens")
        if most is not None:
            made["max_tokens"] = most
        if kind == CHAT:
            messages = asked.get("messages")
            last = messages[-1] if isinstance(messages, list) and messages else None
            if isinstance(last, dict) and last.get("role") == "assistant":
                raise ValueError("ends with the assistant: the last message must be the user's")
            return {**made, "messages": messages}
        prompt = asked.get("prompt")
        if isinstance(prompt, list) and len(prompt) == 1:
            [prompt] = prompt
        return {"max_tokens": PLAIN_TOKENS, **made, "prompt": prompt}

    async def _whole(self, request: Request, wanted: Wanted, order: Order, news: asyncio.Event) -> Response:
        try:
            if await unless_left(request.receive, _complete(order, news)) is None:
                return Response(status_code=CLIENT_LEFT)
        finally:
            order.cancel()
        if order.fault is not None:
            raise order.fault
        said = order.said
        content = {"message": {"role": "assistant", "content": said}} if wanted.kind == CHAT else {"text": said}
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": order.draft.reason}
        return JSONResponse({**self._head(wanted.kind), "choices": [choice], "usage": _usage(order)})

    async def _streamed(
        self, request: Request, wanted: Wanted, order: Order, news: asyncio.Event
    ) -> AsyncIterator[bytes]:
        """Server-sent events: what came since the last one, why it ended, [DONE]."""
        head, sent = self._head(wanted.kind, chunk=True), 0
        try:
            if wanted.kind == CHAT:
                yield _event({**head, "choices": [_delta(CHAT, "", None, role="assistant")]})
            while True:
                await news.wait()
                news.clear()
                ended, said = order.done.is_set(), order.said
                if len(said) > sent and order.fault is None:
                    yield _event({**head, "choices": [_delta(wanted.kind, said[sent:], None)]})
                    sent = len(said)
                if ended or await request.is_disconnected():
                    break
            if order.fault is not None:
                yield _event(_error(order.fault))
            elif order.done.is_set():
                yield _event({**head, "choices": [_delta(wanted.kind, "", order.draft.reason)]})
                if wanted.usage:
                    yield _event({**head, "choices": [], "usage": _usage(order)})
            yield b"data: [DONE]\n\n"
        finally:
            order.cancel()

    def _head(self, kind: str, chunk: bool = False) -> dict[str, Any]:
        name = "chatcmpl" if kind == CHAT else "cmpl"
        return {
            "id": f"{name}-{uuid.uuid4().hex}",
            "object": f"{kind}.chunk" if chunk and kind == CHAT else kind,
            "created": int(time.time()),
            "model": self._model,
            "system_fingerprint": f"version-{self._version}",
        }

    def _card(self) -> dict[str, Any]:
        return {"id": self._model, "object": "model", "created": self._since, "owned_by": "modelyard"}

    def _unknown(self, name: Any) -> Refused:
        return Refused(404, f"the model {name!r} is not served here, only {self._model!r}", "model_not_found", "model")


async def _complete(order: Order, news: asyncio.Event) -> bool:
    while not order.done.is_set():
        await news.wait()
        news.clear()
    return True


def _delta(kind: str, text: str, reason: str | None, role: str | None = None) -> dict[str, Any]:
    if kind == PLAIN:
        return {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    said = {"role": role, "content": text} if role else {"content": text} if text else {}
    return {"index": 0, "delta": said, "logprobs": None, "finish_reason": reason}


def _usage(order: Order) -> dict[str, int]:
    asked, given = len(order.prompt), len(order.draft.ids)
    return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}


def _event(content: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(content)


def _error(fault: Exception) -> dict[str, Any]:
    kinds = {400: "invalid_request_error", 404: "invalid_request_error", 429: "rate_limit_error"}
    status = _status(fault)
    message = str(fault) if status != 500 else "internal error, see the server's log"
    code, param = getattr(fault, "code", None), getattr(fault, "param", None)
    return {"error": {"message": message, "type": kinds.get(status, "server_error"), "param": param, "code": code}}


def _status(fault: Exception) -> int:
    if isinstance(fault, Refused):
        return fault.status
    return 429 if isinstance(fault, BusyError) else 504 if isinstance(fault, Expired) else 500


def refusal(fault: Exception) -> JSONResponse:
    """The fault in the form of the API."""
    headers = {"Retry-After": str(RETRY_AFTER)} if isinstance(fault, BusyError) else None
    return JSONResponse(_error(fault), status_code=_status(fault), headers=headers)
