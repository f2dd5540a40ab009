"""A Dataset's story: adopt what the store holds, else prepare once, and remember how it ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from modelyard.api.dataset import DatasetSpec
from modelyard.decision import Decision, Effect, Manifest, Need, Observed
from modelyard.resources import jobs, profiles, run_job
from modelyard.resources.conditions import Verdict
from modelyard.resources.dataset import disruptions, status
from modelyard.resources.dataset.rules import RULES, Picture
from modelyard.resources.parse import spec_of, unknown_fields
from modelyard.resources.queueing import queue_needs
from modelyard.resources.refusals import refusal_needs
from modelyard.resources.rules import first
from modelyard.resources.scheduling import capacity_needs


def needs(obj: Manifest, observed: Observed) -> Iterable[Need]:
    """The profile until the end; the stored manifest while no Job is at work."""
    spec = spec_of(DatasetSpec, obj)
    if isinstance(spec, Verdict):
        return
    p = _picture(obj, spec, observed)
    if p.before.digest or p.before.failure:
        return
    yield from profiles.needs(spec.profile, obj["metadata"]["namespace"], observed)
    yield from (*refusal_needs(p.job, p.pods), *queue_needs(p.job), *capacity_needs(p.pods))
    if not p.at_work:
        yield p.published


def decide(obj: Manifest, observed: Observed, now: datetime) -> Decision:
    """Prepared or failed stays so for this spec; anything else goes on."""
    spec = spec_of(DatasetSpec, obj)
    if isinstance(spec, Verdict):
        return status.invalid(obj, spec, run_job.all_kept(observed), now)
    p = _picture(obj, spec, observed, now)
    unknown = unknown_fields(DatasetSpec, obj) if p.before.prepare_id is None else None
    decision = status.invalid(obj, unknown, run_job.all_kept(observed), now) if unknown else first(RULES, p)
    return replace(decision, effects=_sweep(p, decision.status or {}))


def _picture(obj: Manifest, spec: DatasetSpec, observed: Observed, now: datetime = datetime.min) -> Picture:
    """With the pods that were taken away counted, unless it has ended."""
    before = status.current(obj, spec)
    ended = before.digest or before.failure
    return Picture(obj if ended else disruptions.counted(obj, spec, observed), spec, observed, now)


def _sweep(p: Picture, said: Manifest) -> tuple[Effect, ...]:
    """Of published rows all else may go at any time; pods of a failed preparation may still write."""
    over = said.get("digest") or (said.get("failure") and jobs.is_held(p.job) and not p.left)
    return (p.sweep,) if over and not said.get("cleanedUp") else ()
