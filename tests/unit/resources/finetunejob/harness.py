"""A laboratory with all that a FineTuneJob needs: profile, prepared Dataset, base model, empty store."""

from __future__ import annotations

from typing import Any

from modelyard import names
from modelyard.resources.finetunejob import RECONCILER
from tests.builders import (
    Built,
    FineTuneJob,
    Job,
    Pod,
    a_dataset,
    a_finetunejob,
    a_listing,
    a_profile,
    a_published_model,
)
from tests.unit.resources.harness import Harness

CONTENT = "sha256:" + "c" * 64
"""Of the base model, in the record of its listing."""


class JobHarness(Harness):
    """Short words for what tests do often."""

    def __init__(self, obj: FineTuneJob | None = None, *others: Built) -> None:
        super().__init__(RECONCILER, obj or a_finetunejob(), *(others or (a_profile(), a_dataset().prepared())))
        self.facts |= {"listing": a_listing(), "base_record": CONTENT, "number": 7}

    @property
    def run(self) -> dict[str, Any]:
        """status.run."""
        return dict(self.status["run"])

    def publish(self, macro_f1: float = 0.742) -> None:
        """The pod has published."""
        stored = a_published_model(self.run["id"], self.run["model"], macro_f1)
        self.facts |= {"manifest": stored, "verified": stored}

    def finish(self, macro_f1: float = 0.742) -> None:
        """The pod has published and the Job is complete."""
        self.publish(macro_f1)
        self.pod(lambda pod: pod.exited(0))
        self.job(Job.succeeded)
        self.settle()


def started(**spec: Any) -> JobHarness:
    """The Job is made."""
    harness = JobHarness(a_finetunejob(**spec))
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD
    return harness


def training(**spec: Any) -> JobHarness:
    """The first pod runs."""
    harness = started(**spec)
    harness.pod(Pod.running)
    harness.settle()
    assert harness.reason == names.TRAINING
    return harness


def succeeded(macro_f1: float = 0.742, **spec: Any) -> JobHarness:
    """The version stands."""
    harness = training(**spec)
    harness.finish(macro_f1)
    return harness
