"""Asks a short-lived child process for certificates, so that the signing library never enters the operator."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from typing import Any

TIMEOUT = 60.0
PROGRAM = "modelyard.engine.endpoint.certificates"


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str


class SigningError(Exception):
    """The child process failed; its last words are the message."""


async def new_authority() -> Pair:
    """A certificate authority for ten years."""
    return await _ask({})


async def server_certificate(authority: Pair, host: str) -> Pair:
    """A server's certificate for one host name, for thirty days."""
    return await _ask({"host": host, "authority": [authority.certificate, authority.key]})


async def _ask(request: dict[str, Any]) -> Pair:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", PROGRAM, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        out, complaint = await asyncio.wait_for(child.communicate(json.dumps(request).encode()), TIMEOUT)
    except TimeoutError as fault:
        child.kill()
        raise SigningError(f"no certificate after {TIMEOUT:.0f} s") from fault
    if child.returncode:
        raise SigningError(complaint.decode(errors="replace").strip().splitlines()[-1][:300])
    return Pair(*json.loads(out))
