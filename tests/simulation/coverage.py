"""What a set of scenarios met and reached, and what it must meet and reach so as not to become empty unnoticed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from modelyard.engine.effects import StoreEffects
from modelyard.engine.facts.store import StoreFacts
from modelyard.rule_lists import LISTS
from tests.simulation.fake_store import BUCKET, FakeStore
from tests.simulation.fate import POD_ENDS, SERVER_WAYS
from tests.simulation.kinds import ALL_TROUBLES
from tests.simulation.playing import Played
from tests.simulation.podstatus import WAITS
from tests.simulation.user import WEIGHTS

WHOLE = ("reason/ModelVersion/Verified", "reason/ModelDeployment/Serving")
"""Seen in a scenario that went from a job to a version that serves."""
SINGLE = (
    "crash/after", "crash/before", "kueue-takes-back", "late-event", "late-write", "lost-event", "refused/0",
    "refused/403", "refused/409", "refused/422", "refused/429", "refused/500", "refused/503", "repeated-event",
    "unanswered", "unasked", "unread",
)  # fmt: skip
REASONS = {
    "Dataset": "Pending Preparing Prepared WaitingForPod ProfileNotFound BadData OutOfMemory TrainerFailed "
    "ImagePullFailed SecretMissing Unschedulable StoreUnavailable",
    "FineTuneJob": "Pending HashingBase WaitingForDataset WaitingForPod Training Publishing Succeeded Adopted "
    "GateFailed Suspended DatasetFailed DatasetNotFound ProfileNotFound BaseModelNotFound ImagePullFailed "
    "SecretMissing Unschedulable OutOfMemory TrainerFailed LossNotANumber ExportDiffers StoreUnavailable",
    "ModelVersion": "Verified ArtifactsCorrupt InUse StoreUnavailable",
    "ModelDeployment": "WaitingForVersion RollingOut Serving WaitingForPod LoadFailed PredictionFailed SecretMissing "
    "NoPassedVersion VersionNotFound ChildRefused ArtifactsCorrupt KServeMissing",
}


def table(scenarios: Sequence[Played]) -> str:
    """How many scenarios met each thing, by family."""
    met, width = counted(scenarios), 46
    rows = [f"{name:{width}} {count:6}" for name, count in sorted(met.items())]
    half = -(-len(rows) // 2)
    pairs = zip(rows[:half], [*rows[half:], ""], strict=False)
    kinds = Counter(played.kind for played in scenarios)
    head = f"{len(scenarios)} scenarios: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    faults = sum(len(played.struck) for played in scenarios) / max(len(scenarios), 1)
    more = (
        f"{sum(map(is_whole, scenarios))} from a job to a version that serves; {faults:.1f} faults and user's acts each"
    )
    return "\n".join([head, more, *(f"{left}   {right}" for left, right in pairs)])


def is_whole(played: Played) -> bool:
    """True for a scenario that went from a job to a version that serves."""
    return played.seen.issuperset(WHOLE)


def missing(scenarios: Iterable[Played]) -> list[str]:
    """What should have been met and was not."""
    met = counted(scenarios)
    return sorted(name for name in expected() if not met[name])


def counted(scenarios: Iterable[Played]) -> Counter[str]:
    """Family of faults, act of the user, reason or kind of child -> number of scenarios."""
    return Counter(name for played in scenarios for name in {*map(family, played.struck), *played.seen})


def family(name: str) -> str:
    """What a chance is about, without the object that it struck."""
    first, *rest = name.split("/")
    if first in ("user", "trouble"):
        return f"{first}/{rest[1]}"
    return f"{first}/{rest[0]}" if first in TOLD_APART else first


RARE = {"delete_version"}
"""Facts and effects that are asked too seldom to be late and wrong in every thousand scenarios."""
RULES = {f"{kind}/{rule.__name__}" for kind, rules in LISTS.items() for rule in rules}
SELDOM = {
    "FineTuneJob/has_lost_its_pins",
    "FineTuneJob/store_is_not_read",
    "ModelDeployment/has_no_sample",
    "ModelDeployment/is_asked",
    "ModelDeployment/is_brought_to_its_node",
    "ModelDeployment/is_busy",
    "ModelDeployment/is_out_of_reach",
    "ModelVersion/has_let_go",
    "ModelVersion/leaves_its_artifacts",
    "ModelVersion/is_of_another_run",
    "ModelVersion/is_misplaced",
}
"""Rules that only unit tests meet."""
TOLD_APART = {"wrong-fact", "late-fact", "unanswered-fact", "pod", "server", "refused", "crash"}


def expected() -> set[str]:
    """Every fault, act, fact and reason that a thousand scenarios meet."""
    store = FakeStore()
    asked = {*StoreFacts(store, BUCKET).functions, *StoreEffects(store, BUCKET).functions, "prediction"} - RARE
    return {
        *SINGLE,
        "child/InferenceService",
        *(f"user/{name}" for name in WEIGHTS),
        *(f"trouble/{name}" for name in ALL_TROUBLES),
        *(f"pod/{name}" for name in (*POD_ENDS, *WAITS, "Unschedulable") if name != "published"),
        *(f"server/{name}" for name in SERVER_WAYS if name != "good"),
        *(f"{way}/{fact}" for way in ("late-fact", "wrong-fact") for fact in (*asked, "progress")),
        "late-fact/queue_word",
        *(f"unanswered-fact/{fact}" for fact in asked),
        *(f"rule/{rule}" for rule in RULES - SELDOM),
        *(f"reason/{kind}/{word}" for kind, words in REASONS.items() for word in words.split()),
    }
