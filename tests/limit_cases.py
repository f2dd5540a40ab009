"""What profiles refuse, asked of the API server's policy and of the operator's own check alike."""

from __future__ import annotations

from typing import Any, NamedTuple

LIMITS: dict[str, Any] = {
    "limits": {"bases": ["s3://base/", "s3://other/good/"], "cpu": 4, "memory": "8Gi", "gpu": 1, "epochs": 5},
    "namespaces": {"matchLabels": {"tier": "gold", "team": "a"}},
}
GOLD = {"tier": "gold", "team": "a"}


class Case(NamedTuple):
    """A changed spec of a FineTuneJob or Dataset, and what the refusal must say; empty if it is allowed."""

    kind: str
    fields: dict[str, Any]
    told: str


ALLOWED = [
    Case("FineTuneJob", {}, ""),
    Case("FineTuneJob", {"resources": {"cpu": 4, "memory": "8192Mi", "gpu": 1}}, ""),
    Case("FineTuneJob", {"train": {"epochs": 5}}, ""),
    Case("FineTuneJob", {"from.base": "s3://base"}, ""),
    Case("FineTuneJob", {"from.base": "s3://other/good"}, ""),
    Case("FineTuneJob", {"from.base": "s3://other/good/minilm/"}, ""),
    Case("Dataset", {"resources": {"cpu": 0.5, "memory": "8Gi"}}, ""),
]
REFUSED = [
    Case("FineTuneJob", {"resources.memory": "8193Mi"}, "spec.resources.memory is 8193Mi: {} allows at most 8Gi"),
    Case("FineTuneJob", {"resources.memory": "9G"}, "spec.resources.memory is 9G: {} allows at most 8Gi"),
    Case("FineTuneJob", {"resources.memory": "1Ti"}, "spec.resources.memory is 1Ti: {} allows at most 8Gi"),
    Case("FineTuneJob", {"resources.cpu": 4.5}, "spec.resources.cpu is 4.5: {} allows at most 4"),
    Case("FineTuneJob", {"resources.gpu": 2}, "spec.resources.gpu is 2: {} allows at most 1"),
    Case("FineTuneJob", {"train.epochs": 6}, "spec.train.epochs is 6: {} allows at most 5"),
    Case(
        "FineTuneJob", {"from.base": "s3://evil/minilm/"}, "spec.from.base is s3://evil/minilm/: {} allows s3://base/"
    ),
    Case(
        "FineTuneJob", {"from.base": "s3://base-evil/x/"}, "spec.from.base is s3://base-evil/x/: {} allows s3://base/"
    ),
    Case("FineTuneJob", {"from.base": "s3://other/good-not/"}, "allows s3://base/, s3://other/good/"),
    Case("FineTuneJob", {"from.base": "s3://other/"}, "spec.from.base is s3://other/: {} allows"),
    Case("Dataset", {"resources.cpu": 5}, "spec.resources.cpu is 5: {} allows at most 4"),
    Case("Dataset", {"resources.memory": "9Gi"}, "spec.resources.memory is 9Gi: {} allows at most 8Gi"),
    Case("Dataset", {"resources.gpu": 2}, "spec.resources.gpu is 2: {} allows at most 1"),
]
NOT_OFFERED: list[tuple[dict[str, str], str]] = [
    ({}, "team=a, tier=gold"),
    ({"tier": "gold"}, "the label team=a, which"),
    ({"tier": "silver", "team": "a"}, "the label tier=gold, which"),
    ({"tier": "gold", "team": "A"}, "the label team=a, which"),
]
FOREIGN = [
    "s3://modelyard",
    "s3://modelyard/",
    "s3://modelyard/ns",
    "s3://modelyard/ns/",
    "s3://modelyard/ns/team-b",
    "s3://modelyard/ns/team-b/models/reviews/runs/1/version/",
    "s3://modelyard/ns/team-ab/datasets/rows/1/train.jsonl",
]
OWN = ["s3://modelyard/ns/team-a", "s3://modelyard/ns/team-a/models/m/", "s3://modelyard/base/", "s3://base/ns/team-b/"]
