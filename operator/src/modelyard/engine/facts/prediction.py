"""Fact: does this server answer a real prediction, and as which version?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from modelyard import names
from modelyard.engine.facts import FactError

TIMEOUT = aiohttp.ClientTimeout(total=10)
MOST_BYTES = 1 << 20
"""Whoever makes pods in a namespace may stand behind a Service of ours: it must not fill the operator's memory."""


async def prediction(args: Mapping[str, str]) -> dict[str, Any]:
    """Ask `url` for a V2 prediction of `model` on `sample`; {"version", "prediction"} of the answer.

    A redirect is no answer: it would send the operator to places that the server's owner cannot reach.
    """
    url = f"{args['url'].rstrip('/')}/v2/models/{args['model']}/infer"
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [args["sample"]]}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(url, json={"inputs": [tensor]}, allow_redirects=False) as response,
        ):
            data = await _read(response.content)
            if response.status != HTTPStatus.OK:
                told = data[:300].decode(errors="replace")
                busy = response.status == HTTPStatus.TOO_MANY_REQUESTS
                reason = names.SERVER_BUSY if busy else names.PROBE_FAILED
                raise FactError(reason, f"{url} answered {response.status}: {told}")
            answer = json.loads(data)
    except (TimeoutError, aiohttp.ClientError, OSError) as fault:
        raise FactError(names.PROBE_FAILED, f"{url} gave no answer: {type(fault).__name__}: {fault}") from fault
    except (ValueError, RecursionError) as fault:
        raise FactError(names.PROBE_FAILED, f"{url} gave no JSON of at most {MOST_BYTES} bytes") from fault
    if not isinstance(answer, dict):
        raise FactError(names.PROBE_FAILED, f"{url} gave no JSON object")
    return {"version": str(answer.get("model_version", ""))[:100], "prediction": answer.get("outputs")}


async def _read(content: aiohttp.StreamReader) -> bytes:
    """The body; ValueError as soon as it is too long."""
    data = bytearray()
    async for chunk in content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > MOST_BYTES:
            raise ValueError("too long")
    return bytes(data)
