"""What a real run posts about itself, from the first stage to the last."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from modelyard.api.run import ExitCode
from modelyard_trainer import command
from modelyard_trainer.progress import Progress
from tests.trainer.harness import TrainerHarness


def test_percent_and_time_left_are_about_all_stages(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    posts: list[dict[str, Any]] = []

    def take(body: bytes) -> None:
        posts.append(json.loads(body)["trainerStatus"])

    monkeypatch.setattr(command, "poster_from_environment", lambda: take)
    monkeypatch.setattr(command, "Progress", partial(Progress, interval=0.1))
    code, outcome = harness.run(harness.train_config("progress", base, dataset))
    assert code == ExitCode.PUBLISHED, outcome
    percents = [post["progressPercentage"] for post in posts]
    assert percents == sorted(percents) and percents[0] < 20 and percents[-1] < 100
    assert {"train", "export"} <= {post["stage"] for post in posts}, "a stage of less than an interval may go unseen"
    trained = [post for post in posts if post["stage"] == "train"][-1]
    assert trained["progressPercentage"] < 90 and trained["estimatedRemainingSeconds"] >= 2
