"""Facts: does this server answer a real prediction, and as which version? Does this address answer at all?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from modelyard import names
from modelyard.engine.facts import FactError

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
KNOCK = aiohttp.ClientTimeout(total=5)
MESH = ("upstream connect error", "no healthy upstream")
"""How a mesh's proxy (Envoy) begins when it, not the server, cannot go on."""
MOST_BYTES = 1 << 20
"""Whoever makes pods in a namespace may stand behind a Service of ours: it must not fill the operator's memory."""


async def prediction(args: Mapping[str, str]) -> dict[str, Any]:
    """Ask `url` for a V2 prediction of `model` on `sample`, a JSON object; {"version", "prediction"} of the answer.

    Each of its fields is a tensor of bytes: nothing here knows what the model is for.

    A redirect is no answer: it would send the operator to places that the server's owner cannot reach.
    """
    url = f"{args['url'].rstrip('/')}/v2/models/{args['model']}/infer"
    inputs = [_tensor(name, value) for name, value in json.loads(args["sample"]).items()]
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(url, json={"inputs": inputs}, allow_redirects=False) as response,
        ):
            data = await _read(response.content)
            if response.status != HTTPStatus.OK:
                told = data[:300].decode(errors="replace")
                raise FactError(_refusal(response.status, told), f"{url} answered {response.status}: {told}")
            answer = json.loads(data)
    except (TimeoutError, aiohttp.ClientError, OSError) as fault:
        reason = names.PROBE_FAILED if await _speaks(args["url"]) else names.SERVER_UNREACHABLE
        raise FactError(reason, f"{url} gave no answer: {type(fault).__name__}: {fault}") from fault
    except (ValueError, RecursionError) as fault:
        raise FactError(names.PROBE_FAILED, f"{url} gave no JSON of at most {MOST_BYTES} bytes") from fault
    if not isinstance(answer, dict):
        raise FactError(names.PROBE_FAILED, f"{url} gave no JSON object")
    return {"version": str(answer.get("model_version", ""))[:100], "prediction": answer.get("outputs")}


def _tensor(name: str, value: Any) -> dict[str, Any]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {"name": name, "shape": [1], "datatype": "BYTES", "data": [text]}


async def address(args: Mapping[str, str]) -> bool:
    """True when a server behind `url` says that it is ready; FactError SERVER_UNREACHABLE when nothing does."""
    url = f"{args['url'].rstrip('/')}/v2/health/ready"
    try:
        async with aiohttp.ClientSession(timeout=KNOCK) as session, session.get(url, allow_redirects=False) as response:
            if response.status == HTTPStatus.OK:
                return True
            told = f"{url} answered {response.status}"
    except (TimeoutError, aiohttp.ClientError, OSError) as fault:
        raise FactError(names.SERVER_UNREACHABLE, f"{url} gave no answer: {type(fault).__name__}: {fault}") from fault
    raise FactError(names.SERVER_UNREACHABLE, told)


def _refusal(status: int, told: str) -> str:
    """What a status means that is none of success; our server itself refuses nobody, a mesh before it does."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return names.SERVER_BUSY
    kept_out = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or told.startswith(MESH)
    return names.SERVER_UNREACHABLE if kept_out else names.PROBE_FAILED


async def _speaks(url: str) -> bool:
    """True if anything answers there at all: only then is a missing answer the server's own."""
    try:
        async with (
            aiohttp.ClientSession(timeout=KNOCK) as session,
            session.get(f"{url.rstrip('/')}/v2/health/live", allow_redirects=False),
        ):
            return True
    except (TimeoutError, aiohttp.ClientError, OSError):
        return False


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body; ValueError as soon as it is too long."""
    data = bytearray()
    async for chunk in content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
    return bytes(data)
