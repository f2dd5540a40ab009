"""Percent and time left are about all stages, whatever each of them took."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from modelyard_trainer.pace import Pace
from modelyard_trainer.pipeline import STAGES
from modelyard_trainer.progress import Progress

TRAIN = STAGES["train"]


class Lived:
    """A run that takes the seconds it is told; every second is looked at."""

    def __init__(self, begin: int = 0) -> None:
        self.now, self.begin = 0.0, begin
        self.pace = Pace(TRAIN, lambda: self.now)
        self.seen: list[tuple[float, float, float]] = []

    def live(self, **seconds: float) -> list[tuple[float, float, float]]:
        """Time, share and seconds left, over all stages."""
        for stage in TRAIN:
            self.pace.enter(stage)
            for passed in range(int(seconds[stage])):
                self.now += 1
                if stage == "train":
                    self._step(int(seconds[stage]), passed + 1)
                self.seen.append((self.now, self.pace.share, self.pace.seconds_left))
        return self.seen

    def _step(self, here: int, step: int) -> None:
        left = float(here - step)
        self.pace.steps(self.begin + step, self.begin + here, left or None)


SLOW_END = {"fetch": 5, "load": 5, "adapt": 1, "train": 60, "evaluate": 60, "export": 40, "publish": 10}
LONG = {"fetch": 20, "load": 10, "adapt": 1, "train": 3000, "evaluate": 20, "export": 20, "publish": 20}
QUICK = {"fetch": 1, "load": 1, "adapt": 1, "train": 5, "evaluate": 1, "export": 2, "publish": 1}


@pytest.mark.parametrize("seconds", [SLOW_END, LONG, QUICK])
def test_share_never_falls_and_is_whole_only_at_the_end(seconds: dict[str, float]) -> None:
    seen = Lived().live(**seconds)
    assert all(after[1] >= before[1] for before, after in pairwise(seen))
    assert all(share < 1 and left > 0 for _, share, left in seen)


@pytest.mark.parametrize(("seconds", "most"), [(SLOW_END, 0.75), (LONG, 0.99), (QUICK, 0.75)])
def test_the_end_of_training_is_not_the_end_of_the_run(seconds: dict[str, float], most: float) -> None:
    lived = Lived()
    trained = sum(seconds[stage] for stage in ("fetch", "load", "adapt", "train"))
    seen = lived.live(**seconds)
    _, share, left = next(at for at in seen if at[0] == trained)
    assert share < most and left >= 10


def test_what_a_pod_before_did_counts() -> None:
    fresh, resumed = Lived(), Lived(begin=900)
    assert resumed.live(**LONG | {"train": 100})[40][1] > 0.7 > fresh.live(**LONG)[40][1]


def test_time_left_is_within_a_quarter_once_training_has_a_pace() -> None:
    seen = Lived().live(**LONG)
    whole = sum(LONG.values())
    off = [abs(left - (whole - now)) / (whole - now) for now, _, left in seen if 100 < now < 2500]
    assert off and max(off) < 0.25


def test_what_is_known_of_a_stage_to_come_counts_and_what_has_passed_does_not_change() -> None:
    pace = Pace(TRAIN, lambda: 0.0)
    pace.enter("train")
    before = pace.seconds_left
    pace.expect("evaluate", 500.0)
    pace.expect("fetch", 500.0)
    assert pace.seconds_left == pytest.approx(before + 480)


def test_posts_tell_percent_and_time_left_of_all_stages_and_go_on_where_nothing_is_counted() -> None:
    written: list[dict[str, Any]] = []
    progress = Progress(lambda body: written.append(json.loads(body)["trainerStatus"]), interval=60)
    progress.plan(TRAIN)
    progress.update(stage="train", step=1000, steps=1000)
    progress.update(stage="evaluate")
    progress.close()
    assert 70 < written[-1]["progressPercentage"] < 95
    assert written[-1]["estimatedRemainingSeconds"] > 20
