"""An answer as the Decision that the engine carries out: status, conditions, events, children."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from modelyard.api.finetunejob import FineTuneJobStatus, Run
from modelyard.api.modelversion import RunWarning
from modelyard.decision import Decision, Manifest, Observed
from modelyard.resources.conditions import Verdict, conditions, events, shown_phase
from modelyard.resources.finetunejob import resumed
from modelyard.resources.finetunejob.case import Answer, Case
from modelyard.resources.finetunejob.data import dataset_child
from modelyard.resources.parse import status_of
from modelyard.resources.run_job import all_kept
from modelyard.resources.waiting import Wait, pause


def decision(case: Case, answer: Answer, now: datetime) -> Decision:
    """The whole status, and the children with the inline dataset among them."""
    fields = {
        **_common(case.obj, answer.verdict, answer.phase, now, answer.warnings),
        "run": _stamped(answer.run, now),
        "base": answer.base,
        "progress": answer.progress,
        "resumes": answer.resumes,
        "version": answer.version,
        "gate": answer.gate,
        "metric": answer.metric,
    }
    return Decision(
        status=FineTuneJobStatus.model_validate(fields).dump(),
        children=(*dataset_child(case), *answer.children),
        effects=answer.effects,
        events=(*events(case.obj, answer.verdict), *resumed.events(case, answer)),
        wake_after=pause(case.obj, Wait(answer.verdict, answer.wake_after, answer.backoff), now),
    )


def invalid(obj: Manifest, verdict: Verdict, observed: Observed, now: datetime) -> Decision:
    """A spec that this operator does not understand: all else stays as it is."""
    status = status_of(FineTuneJobStatus, obj)
    fields = {**status.dump(), **_common(obj, verdict, status.phase or "Pending", now)}
    return Decision(
        status=FineTuneJobStatus.model_validate(fields).dump(),
        children=all_kept(observed),
        events=events(obj, verdict),
    )


def _common(
    obj: Manifest, verdict: Verdict, phase: str, now: datetime, warnings: Sequence[RunWarning] = ()
) -> dict[str, Any]:
    noticed = [{"type": w.reason, "status": "True", "reason": w.reason, "message": w.message} for w in warnings]
    return {
        "observedGeneration": obj["metadata"].get("generation", 0),
        "conditions": conditions(obj, verdict, now, *noticed),
        "phase": shown_phase(phase, verdict),
    }


def _stamped(run: Run | None, now: datetime) -> Run | None:
    if run is None:
        return None
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    ended = run.finished_at or (None if run.state == "Running" else stamp)
    return run.model_copy(update={"started_at": run.started_at or stamp, "finished_at": ended})
