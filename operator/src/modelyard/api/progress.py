"""What a pod posts about its training: the protocol of stock Hugging Face Trainer, with two fields of ours.

{"trainerStatus": {"progressPercentage": 41, "estimatedRemainingSeconds": 700, "lastUpdatedTime": "...",
 "metrics": [{"name": "loss", "value": "0.31"}, {"name": "current_step", "value": "410"}, ...], "stage": "train"}}
"""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import Field, ValidationError, field_validator

from modelyard.api.common import StatusModel

MOST_BYTES = 64 * 1024
MOST_METRICS = 100
LARGEST = 2**53


class BadPostError(ValueError):
    """A post that is not taken; the message names what is wrong with it."""


class Metric(StatusModel):
    """One number by name; stock Trainer sends numbers as text."""

    name: str = Field(min_length=1, max_length=128)
    value: float

    @field_validator("value", mode="after")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not math.isfinite(value) or abs(value) > 1e300:
            raise ValueError(f"must be a finite number, is {value}")
        return value


class TrainerStatus(StatusModel):
    """The state of one training."""

    progress_percentage: int | None = Field(default=None, ge=0, le=100)
    estimated_remaining_seconds: int | None = Field(default=None, ge=0, le=LARGEST)
    metrics: list[Metric] = Field(default_factory=list, max_length=MOST_METRICS)
    stage: str | None = Field(default=None, max_length=32, pattern=r"^[a-z_]+$")
    resumed_from: int | None = Field(default=None, ge=0, le=LARGEST)

    def metric(self, name: str) -> float | None:
        """The last value of that name."""
        return next((metric.value for metric in reversed(self.metrics) if metric.name == name), None)

    def count(self, name: str) -> int | None:
        """The same as a whole number, None if it is not one."""
        value = self.metric(name)
        return int(value) if value is not None and 0 <= value <= LARGEST else None


class ProgressPost(StatusModel):
    """The body of a post."""

    trainer_status: TrainerStatus


def parse_post(body: bytes) -> TrainerStatus:
    """The status in a body of at most MOST_BYTES; BadPostError names what is wrong."""
    if len(body) > MOST_BYTES:
        raise BadPostError(f"the body has {len(body)} bytes, at most {MOST_BYTES} are taken")
    try:
        content = json.loads(body, parse_constant=_no_constant)
    except RecursionError as fault:
        raise BadPostError("the body is nested too deeply") from fault
    except ValueError as fault:
        raise BadPostError(f"the body is not JSON: {fault}"[:300]) from fault
    try:
        return ProgressPost.model_validate(content).trainer_status
    except ValidationError as fault:
        raise BadPostError(_first(fault)) from fault


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _first(fault: ValidationError) -> str:
    error = fault.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in error["loc"]) or "body"
    return f"{place}: {error['msg']}"[:300]
