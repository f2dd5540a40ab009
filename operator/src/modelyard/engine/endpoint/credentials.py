"""Short-lived store keys for a run's pod: what it may do follows from its owner's status."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from modelyard import names
from modelyard.api.access import AccessError, access_of
from modelyard.engine.cache import Cache
from modelyard.engine.endpoint.callers import Caller
from modelyard.engine.endpoint.refusal import Refused
from modelyard.storage.errors import StoreError
from modelyard.storage.sts import Keys, NoSts, Sts


class Credentials:
    """Asks the store's token service in a few threads of its own."""

    def __init__(self, cache: Cache, sts: Sts, bucket: str) -> None:
        self._cache, self._sts, self._bucket = cache, sts, bucket
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="sts")

    async def keys(self, caller: Caller) -> Keys:
        """Keys for the caller's run; Refused if it is not under way or the store gives none."""
        owner = self._cache.get(*caller.owner)
        if owner is None:
            raise Refused(403, "Forbidden", f"{caller.owner[0]} {caller.owner[2]} is gone")
        try:
            access = access_of(owner, caller.run, self._bucket)
        except AccessError as fault:
            raise Refused(403, names.NOT_ALLOWED, str(fault)) from fault
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, self._sts.keys, access, caller.job)
        except NoSts as fault:
            profile = owner["spec"].get("profile", names.DEFAULT_PROFILE)
            remedy = f"set spec.store.secret of TrainingProfile {profile} to a Secret with a key, or offer STS"
            raise Refused(501, fault.reason, f"{fault.message}: {remedy}") from fault
        except StoreError as fault:
            raise Refused(503, fault.reason, fault.message) from fault
