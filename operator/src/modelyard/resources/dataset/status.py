"""Status of a Dataset: prepared, failed, or what it waits for."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from modelyard import names
from modelyard.api.common import Failure
from modelyard.api.dataset import DatasetSpec, DatasetStatus, Rows
from modelyard.api.run import DatasetInfo
from modelyard.api.run import Manifest as StoredManifest
from modelyard.decision import Child, Decision, Manifest
from modelyard.resources.conditions import Verdict, conditions, events, shown_phase
from modelyard.resources.dataset.prepare_job import epoch, identity, prefix, prepare_id
from modelyard.resources.parse import status_of
from modelyard.resources.pods import Fault
from modelyard.resources.waiting import Wait, pause


def current(obj: Manifest, spec: DatasetSpec) -> DatasetStatus:
    """What stands in the status about this very spec; empty for another one."""
    status = status_of(DatasetStatus, obj)
    return status if status.prepare_id == prepare_id(obj, spec) else DatasetStatus()


def info_of(answer: dict[str, Any], spec: DatasetSpec) -> DatasetInfo | Fault:
    """What the stored manifest says about the rows, or why it cannot be theirs."""
    try:
        manifest = StoredManifest.model_validate(answer["manifest"])
        info = DatasetInfo.model_validate(manifest.info, extra="ignore")
    except ValidationError as error:
        return Fault(names.CORRUPT, f"the stored manifest cannot be read ({error.error_count()} errors)", final=True)
    if manifest.kind != "dataset" or info.task != spec.task:
        found = f"{manifest.kind} for {info.task}"
        return Fault(names.CORRUPT, f"the store holds a {found} there, wanted a dataset for {spec.task}", final=True)
    return info


def prepared(obj: Manifest, spec: DatasetSpec, info: DatasetInfo) -> DatasetStatus:
    """The status that stays: the rows stand in the store."""
    found = info.dump()
    fields = {field: found[field] for field in ("digest", "rows", "classes", "removed", "notes")}
    return DatasetStatus.model_validate({**_about(obj, spec), **fields})


def ready(obj: Manifest, status: DatasetStatus, children: tuple[Child, ...], now: datetime) -> Decision:
    """Prepared once per spec: the store is not asked again."""
    rows = status.rows or Rows()
    counts = f"{rows.train} train, {rows.validation} validation, {rows.test} test rows"
    text = "; ".join((f"{counts}, {len(status.classes or {})} classes", *(status.notes or ())))
    verdict = Verdict(True, names.PREPARED, text)
    return _decision(obj, status.dump(), verdict, "Prepared", children, now)


def failed(
    obj: Manifest,
    spec: DatasetSpec,
    failure: Failure,
    children: tuple[Child, ...],
    now: datetime,
    swept: bool = False,
) -> Decision:
    """Stalled for good: only another spec changes it."""
    verdict = Verdict(False, failure.reason, failure.message, stalled=True)
    fields = {**_about(obj, spec), "failure": failure.dump(), "cleanedUp": swept}
    return _decision(obj, fields, verdict, "Failed", children, now)


def waiting(
    obj: Manifest,
    spec: DatasetSpec,
    wait: Wait,
    children: tuple[Child, ...],
    now: datetime,
    suspect_since: str | None = None,
) -> Decision:
    """On the way, or held up by something that a human can fix."""
    phase = "Preparing" if wait.verdict.reason == names.PREPARING else "Pending"
    fields = {**_about(obj, spec), "suspectSince": suspect_since}
    decision = _decision(obj, fields, wait.verdict, phase, children, now)
    return replace(decision, wake_after=pause(obj, wait, now))


def invalid(obj: Manifest, verdict: Verdict, children: tuple[Child, ...], now: datetime) -> Decision:
    """A spec that this operator does not understand: all else stays as it is."""
    status = status_of(DatasetStatus, obj)
    return _decision(obj, status.dump(), verdict, status.phase or "Pending", children, now)


def _about(obj: Manifest, spec: DatasetSpec) -> dict[str, Any]:
    before = current(obj, spec)
    counts = {"disruptions": before.disruptions, "lastDisruption": before.last_disruption}
    made, version = identity(obj, spec)
    return {"prepareId": made, "hashVersion": version, "prefix": prefix(obj, spec), "epoch": epoch(obj, spec), **counts}


def _decision(
    obj: Manifest, fields: dict[str, Any], verdict: Verdict, phase: str, children: tuple[Child, ...], now: datetime
) -> Decision:
    common = {
        "observedGeneration": obj["metadata"].get("generation", 0),
        "conditions": conditions(obj, verdict, now),
        "phase": shown_phase(phase, verdict),
    }
    status = DatasetStatus.model_validate({**fields, **common}).dump()
    return Decision(status, children, events(obj, verdict))
