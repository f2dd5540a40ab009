"""Opens the endpoint: its authority is found or made, and every run is told whom to trust."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from modelyard.engine.context import Context
from modelyard.engine.endpoint.authority import Secrets, ensure_authority
from modelyard.engine.endpoint.server import Endpoint
from modelyard.engine.endpoint.signing import Pair, SigningError
from modelyard.engine.handlers import EndlessBackoff
from modelyard.engine.kube import KubeError
from modelyard.settings import Settings
from modelyard.storage.sts import Sts

log = logging.getLogger(__name__)


async def open_endpoint(endpoint: Endpoint, context: Context, kube: Secrets, settings: Settings) -> None:
    """Listen, and put the authority into the platform before the first run is made; raises OSError, SigningError."""
    authority = await _authority(kube, settings.namespace)
    context.platform = replace(context.platform, endpoint_ca=authority.certificate)
    await endpoint.start(settings.endpoint_port, authority, settings.endpoint_host)


def token_service(settings: Settings) -> Sts:
    """The store's token service with the operator's key."""
    platform = settings.platform
    store = platform.store.model_copy(update={"endpoint": settings.sts_endpoint or platform.store_endpoint})
    address = "sts.endpoint" if settings.sts_endpoint else "endpoint"
    return Sts(store, settings.store_access_key, settings.store_secret_key, settings.sts_role, address)


async def _authority(kube: Secrets, namespace: str) -> Pair:
    """However long that takes: without it no run could trust us."""
    for pause in EndlessBackoff():
        try:
            return await ensure_authority(kube, namespace)
        except (KubeError, SigningError) as fault:
            log.warning("the endpoint has no certificate authority yet: %s", fault)
            await asyncio.sleep(pause)
    raise AssertionError("the back-off is endless")
