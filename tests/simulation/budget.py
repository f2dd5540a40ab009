"""How many writes a run costs the API server: progress and events aside."""

from __future__ import annotations

from collections import defaultdict

from modelyard import names
from modelyard.decision import Manifest
from tests.simulation.fake_api import FakeApi, Write
from tests.simulation.invariants import OPERATOR

LIMIT, QUEUED = 10, 2
"""Writes of a run, and how many more each time that it waits in a queue of Kueue."""


class Budget:
    """Counts the operator's writes for each run of a FineTuneJob, its children and its version."""

    def __init__(self, api: FakeApi) -> None:
        self._writes: dict[str, list[str]] = defaultdict(list)
        api.auditors.append(self._audit)

    def overdrawn(self) -> list[str]:
        """Runs that cost more than they may."""
        runs = sorted(self._writes.items())
        return [f"run {run} took {len(w)} writes: {w}" for run, w in runs if len(w) > _limit(w)]

    def _audit(self, write: Write) -> None:
        if not write.who.startswith(OPERATOR) or _is_progress(write.before, write.after):
            return
        run = _run_of(write.after or write.before or {})
        if run:
            self._writes[f"{run} of {_job_of(write.after or write.before or {})}"].append(
                f"{write.verb} {write.key[0]} {_reason(write.after)}"
            )


def _limit(writes: list[str]) -> int:
    reasons = [line.split()[-1] for line in writes if line.startswith("status FineTuneJob")]
    entries = sum(now == names.QUEUED != before for before, now in zip(["", *reasons], reasons, strict=False))
    return LIMIT + QUEUED * entries


def _run_of(obj: Manifest) -> str:
    if obj["kind"] == "FineTuneJob":
        return str((obj.get("status", {}).get("run") or {}).get("id", ""))
    if obj["kind"] == "ModelVersion":
        return str(obj["spec"]["lineage"]["trained"]["run"])
    labels = obj["metadata"].get("labels", {})
    return str(labels.get(names.LABEL_RUN, "")) if labels.get(names.LABEL_KIND) == "finetunejob" else ""


def _job_of(obj: Manifest) -> str:
    if obj["kind"] == "FineTuneJob":
        return str(obj["metadata"]["name"])
    return str(obj["metadata"].get("annotations", {}).get(names.ANNOTATION_OWNER))


def _reason(obj: Manifest | None) -> str:
    found = (obj or {}).get("status", {}).get("conditions", ())
    return next((str(c["reason"]) for c in found if c["type"] == "Ready"), "")


def _is_progress(before: Manifest | None, after: Manifest | None) -> bool:
    """Also that a ModelDeployment took up the version is not the run's cost."""
    if before is None or after is None:
        return False
    return _without(before, "progress", "deployedBy") == _without(after, "progress", "deployedBy")


def _without(obj: Manifest, *fields: str) -> Manifest:
    return {**obj, "metadata": {}, "status": {k: v for k, v in obj.get("status", {}).items() if k not in fields}}
