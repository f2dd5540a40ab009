"""Progress for people: percent, time left and loss, from what the pod reports."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from modelyard.api.finetunejob import Progress, Run
from modelyard.api.run import ProgressReport
from modelyard.decision import Answer, Fact
from modelyard.resources.finetunejob.case import Case, job_name


def progress_fact(case: Case, run: Run) -> Fact:
    """The latest report of the run; the engine wakes us when there is another one, at most every 5 s."""
    return progress_of_job(case, job_name(run))


def progress_of_job(case: Case, job: str) -> Fact:
    """The same for any Job."""
    return Fact.of("progress", max_age=0, namespace=case.namespace, job=job)


def report_of(answer: Answer | None) -> ProgressReport | None:
    """What was reported, if it can be read."""
    return None if answer is None or answer.failed else _report(answer.value)


def progress_of(case: Case, run: Run, *, running: bool) -> Progress | None:
    """The newest report about this run; without a running pod the last one stands, without a time left."""
    before = case.status.progress
    answer = case.observed.fact(progress_fact(case, run)) if running else None
    report = report_of(answer)
    if report is not None and report.run == run.id:
        shown = _shown(report)
        return shown if before is None else shown.model_copy(update={"percent": max(before.percent, shown.percent)})
    return before if running or before is None else before.model_copy(update={"eta": None})


def humanised(seconds: float) -> str:
    """Time left: 40s, 12m, 1h5m."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes}m"
    return f"{minutes // 60}h{minutes % 60}m" if minutes % 60 else f"{minutes // 60}h"


def rounded(loss: float) -> float:
    """Four significant digits."""
    return float(f"{loss:.4g}")


def _report(value: dict[str, Any] | None) -> ProgressReport | None:
    try:
        return ProgressReport.model_validate(value) if value else None
    except ValidationError:
        return None


def _shown(report: ProgressReport) -> Progress:
    # 100 is kept for the verified version: a report is a claim, not a proof.
    return Progress(
        percent=max(0, min(99, int(100 * (report.share or 0.0) + 1e-9))),
        step=report.step,
        steps=report.steps,
        resumed_from=report.resumed_from if report.resumed_from > 0 else None,
        epoch=_finite(report.epoch),
        eta=None if _finite(report.seconds_left) is None else humanised(max(1.0, report.seconds_left or 0.0)),
        loss=_finite(report.loss),
        stage=report.stage or None,
    )


def _finite(value: float | None) -> float | None:
    """A number that JSON can carry, in four digits; a NaN loss is the trainer's to judge."""
    return None if value is None or value != value or abs(value) == float("inf") else rounded(value)
