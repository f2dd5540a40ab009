"""The HTTPS server of run pods, on the engine's own loop; every refusal is JSON with a cause."""

from __future__ import annotations

import asyncio
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from modelyard import names
from modelyard.api.progress import MOST_BYTES, BadPostError, parse_post
from modelyard.engine import metrics
from modelyard.engine.endpoint.callers import Caller, Callers
from modelyard.engine.endpoint.credentials import Credentials
from modelyard.engine.endpoint.limits import Limit
from modelyard.engine.endpoint.progress_store import ProgressStore
from modelyard.engine.endpoint.refusal import Refused
from modelyard.engine.endpoint.signing import Pair, SigningError, server_certificate
from modelyard.listening import listening_socket

log = logging.getLogger(__name__)
RUN = "/v1/namespaces/{namespace}/jobs/{job}"
BODY_SECONDS = 10.0
RENEW_EVERY = 86_400.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """Takes progress, gives credentials; `start` listens and keeps the certificate fresh until `stop`."""

    def __init__(self, callers: Callers, progress: ProgressStore, credentials: Credentials) -> None:
        self._callers, self._progress_store, self._credentials = callers, progress, credentials
        self._limits = {names.PROGRESS: Limit(10, 1.0), names.CREDENTIALS: Limit(10, 10.0)}
        self._runner: web.AppRunner | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, port: int, authority: Pair, host: str) -> int:
        """Listen on all addresses with a certificate for `host`; gives the port. Raises OSError, SigningError."""
        context = await server_context(authority, host)
        self._runner = web.AppRunner(self.app(), access_log=None, keepalive_timeout=15)
        await self._runner.setup()
        await web.SockSite(self._runner, listening_socket(port), ssl_context=context).start()
        self._renewing = asyncio.create_task(_renew(context, authority, host))
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    def app(self) -> web.Application:
        """All routes."""
        app = web.Application(client_max_size=MOST_BYTES, middlewares=[_counted, _as_json])
        app.router.add_post(f"{RUN}/{names.PROGRESS}", self._progress)
        app.router.add_get(f"{RUN}/{names.CREDENTIALS}", self._keys, allow_head=False)
        return app

    async def _progress(self, request: web.Request) -> web.Response:
        caller = await self._caller(request, names.PROGRESS)
        try:
            self._progress_store.post(caller, parse_post(await _body(request)))
        except BadPostError as fault:
            raise Refused(422, "BadProgress", str(fault)) from fault
        return web.json_response({})

    async def _keys(self, request: web.Request) -> web.Response:
        """In the words of the AWS SDKs' container credentials."""
        keys = await self._credentials.keys(await self._caller(request, names.CREDENTIALS))
        found = {
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "Token": keys.session_token,
            "Expiration": keys.expiration.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return web.json_response(found, headers={"Cache-Control": "no-store"})

    async def _caller(self, request: web.Request, purpose: str) -> Caller:
        """Who speaks, and not too often."""
        where = request.match_info
        token = request.headers.get("Authorization", "")
        caller = await self._callers.identify(token, where["namespace"], where["job"], purpose)
        self._limits[purpose].take(caller.pod_uid)
        return caller


async def _body(request: web.Request) -> bytes:
    """The whole body, at most MOST_BYTES and not slower than BODY_SECONDS."""
    if (request.content_length or 0) > MOST_BYTES:
        raise web.HTTPRequestEntityTooLarge(MOST_BYTES, request.content_length or 0)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as fault:
        raise Refused(408, "TooSlow", f"the body did not come within {BODY_SECONDS:.0f} s") from fault


@web.middleware
async def _counted(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    purpose = request.path.rpartition("/")[2]
    known = purpose in (names.PROGRESS, names.CREDENTIALS)
    metrics.ENDPOINT_REQUESTS.labels(purpose if known else "other", str(response.status)).inc()
    return response


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return _refusal(refused.status, refused.reason, refused.message)
    except web.HTTPRequestEntityTooLarge:
        return _refusal(413, "TooLarge", f"the body is too large: at most {MOST_BYTES} bytes are taken")
    except web.HTTPException as fault:
        return _refusal(fault.status, (fault.reason or "Refused").replace(" ", ""), f"{request.method}: {fault.reason}")
    except Exception:
        log.exception("request failed")
        return _refusal(500, "InternalError", "the operator's log says more")


def _refusal(status: int, reason: str, message: str) -> web.Response:
    """The connection is closed: what is left of the body is not read."""
    body: dict[str, Any] = {"reason": reason, "message": message}
    response = web.json_response(body, status=status)
    response.force_close()
    return response


async def server_context(authority: Pair, host: str) -> ssl.SSLContext:
    """TLS 1.2 or newer with a fresh certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, await server_certificate(authority, host))
    return context


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    """The library reads files only."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(Path(file.name))
    metrics.CERTIFICATE_RENEWED.set_to_current_time()


async def _renew(context: ssl.SSLContext, authority: Pair, host: str) -> None:
    """A new certificate each day, for the connections to come."""
    while True:
        await asyncio.sleep(RENEW_EVERY)
        try:
            _load(context, await server_certificate(authority, host))
        except (SigningError, OSError) as fault:
            log.warning("the endpoint's certificate was not renewed, tomorrow again: %s", fault)
