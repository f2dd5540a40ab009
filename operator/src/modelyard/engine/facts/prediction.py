"""Fact: does this server answer a real prediction, and as which version?"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp

from modelyard import names
from modelyard.engine.facts import FactError

TIMEOUT = aiohttp.ClientTimeout(total=10)


async def prediction(args: Mapping[str, str]) -> dict[str, Any]:
    """Ask `url` for a V2 prediction of `model` on `sample`; {"version", "prediction"} of the answer."""
    url = f"{args['url'].rstrip('/')}/v2/models/{args['model']}/infer"
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [args["sample"]]}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.post(url, json={"inputs": [tensor]}) as response,
        ):
            text = await response.text()
            if response.status != HTTPStatus.OK:
                raise FactError(names.PROBE_FAILED, f"{url} answered {response.status}: {text[:300]}")
            answer = await response.json()
    except (TimeoutError, aiohttp.ClientError, OSError) as fault:
        raise FactError(names.PROBE_FAILED, f"{url} gave no answer: {type(fault).__name__}: {fault}") from fault
    return {"version": str(answer.get("model_version", "")), "prediction": answer.get("outputs")}
