"""The leader guard: one operator acts at a time, by a Lease; renewal by the client's own leader election."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection import leaderelection
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from modelyard import names
from modelyard.decision import Manifest
from modelyard.engine import metrics
from modelyard.engine.kube import Kube, KubeError

log = logging.getLogger(__name__)
NOT_FOUND_BODY = '{"code": 404}'


class _Steady:
    """Time for the election, which asks for durations alone: a wall clock that is set back would leave no leader."""

    time = staticmethod(time.monotonic)


leaderelection.time = _Steady


class KubeLease(BaseLock):  # type: ignore[misc]
    """A Lease through kube.py: no typed models are loaded, and a lost connection is a failed try, not a crash."""

    def __init__(self, kube: Kube, namespace: str, identity: str, clock: Callable[[], float]) -> None:
        super().__init__(names.LEASE, namespace, identity)
        self._kube, self._clock = kube, clock
        self._lease: Manifest = {}
        self.renewed = 0.0
        """When the last renewal was sent: from then on, not from its answer, others count our time."""

    async def get(self, name: str, namespace: str) -> tuple[bool, Any]:
        """(True, record), or (False, an error as the election expects it)."""
        try:
            lease = await self._kube.get("Lease", namespace, name)
        except KubeError as fault:
            metrics.LEASE_FAILURES.inc()
            return False, _ElectionError(fault.message, "")
        if lease is None:
            return False, _ElectionError("not found", NOT_FOUND_BODY)
        self._lease = lease
        spec = lease.get("spec", {})
        return True, LeaderElectionRecord(
            spec.get("holderIdentity"),
            str(spec.get("leaseDurationSeconds")),
            spec.get("acquireTime"),
            spec.get("renewTime"),
        )

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        """Make the Lease, held by us."""
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "namespace": namespace},
            "spec": self._spec(election_record, ""),
        }
        return await self._write(self._kube.create(lease))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:
        """Renew or take over; a stale resourceVersion loses."""
        before = self._lease.get("spec", {})
        acquired = before.get("acquireTime", "") if before.get("holderIdentity") == self.identity else ""
        return await self._write(self._kube.replace({**self._lease, "spec": self._spec(updated_record, acquired)}))

    async def release(self) -> None:
        """Give the Lease back, so that the next operator need not wait."""
        lease = await self._kube.get("Lease", self.namespace, self.name)
        if lease and lease.get("spec", {}).get("holderIdentity") == self.identity:
            await self._kube.replace({**lease, "spec": {**lease["spec"], "holderIdentity": None, "renewTime": None}})

    async def _write(self, call: Any) -> bool:
        sent = self._clock()
        try:
            self._lease = await call
        except KubeError as fault:
            log.warning("lease not renewed: %s", fault)
            metrics.LEASE_FAILURES.inc()
            return False
        self.renewed = sent
        return True

    def _spec(self, record: LeaderElectionRecord, acquired: str) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(float(str(record.lease_duration))),
            "acquireTime": acquired or now,
            "renewTime": now,
        }


class _ElectionError(ApiException):  # type: ignore[misc]
    """What the election reads of a failed get."""

    def __init__(self, reason: str, body: str) -> None:
        super().__init__(status=0, reason=reason)
        self.body = body


class LeaseGuard:
    """Runs the election; `held` is what every reconcile asks before it writes."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        identity: str,
        duration: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lock = KubeLease(kube, namespace, identity, clock)
        self._duration, self._clock = duration, clock
        self._leading = asyncio.Event()

    @property
    def held(self) -> bool:
        """True while the Lease is ours for certain: renewed within its duration."""
        return self._leading.is_set() and self._clock() - self._lock.renewed < self._duration

    async def wait(self) -> None:
        """Until we lead."""
        await self._leading.wait()

    async def run(self) -> None:
        """Lead until the Lease is lost; returns then."""
        election = LeaderElection(
            Config(
                self._lock,
                lease_duration=self._duration,
                renew_deadline=self._duration * 0.7,
                retry_period=max(1.0, self._duration / 5),
                onstarted_leading=self._lead,
                onstopped_leading=self._stopped,
            )
        )
        await election.run()

    async def release(self) -> None:
        """Give the Lease back on the way out."""
        try:
            await self._lock.release()
        except KubeError as fault:
            log.debug("lease not released: %s", fault)

    async def _lead(self) -> None:
        log.info("leading as %s", self._lock.identity)
        self._leading.set()

    async def _stopped(self) -> None:
        log.warning("lease lost")
        self._leading.clear()
