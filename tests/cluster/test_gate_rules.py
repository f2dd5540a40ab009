"""The gate's rules follow from a table of tasks: tried with tasks of all kinds of metrics on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ConfigDict, Field

from dev.localcluster.apiserver import ApiServer
from modelyard.api.common import ApiModel, cel
from modelyard.api.crd import structural_schema
from modelyard.api.finetunejob import Evaluate
from modelyard.api.gate import gate_rules
from modelyard.api.tasks import BASE, ColumnKind, MetricKind, Support, TaskKind
from tests.cluster.kubectl import Kubectl

SPEECH = TaskKind(
    "speech",
    "Text for speech.",
    "audio",
    (ColumnKind("audio", "speech"), ColumnKind("text", "what is said")),
    (MetricKind("wer", "wrong words", higher_is_better=False, most=None), MetricKind("exact", "whole rows")),
    "wer",
    (Support(BASE, ("full",), ("onnx",)),),
)
TAGS = TaskKind(
    "tags",
    "Tags.",
    "text",
    (ColumnKind("text", "a text"), ColumnKind("tags", "its tags")),
    (
        MetricKind("fit", "any number", least=None, most=None),
        MetricKind("bleu", "overlap", most=100.0),
        MetricKind("miss", "missed of a tag", per_class=True, higher_is_better=False),
    ),
    "fit",
    (Support(BASE, ("full",), ("onnx",)),),
)


class Judged(ApiModel):
    """A spec with a task and a gate."""

    model_config = ConfigDict(json_schema_extra=cel(*gate_rules({task.name: task for task in (SPEECH, TAGS)})))
    task: str = Field(max_length=63, description="The task.")
    evaluate: Evaluate | None = None


@pytest.fixture(scope="module")
def kubectl() -> Iterator[Kubectl]:
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "-f", "-", stdin=definition())
        kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield kubectl


def definition() -> dict[str, Any]:
    spec = structural_schema(Judged)
    schema = {"type": "object", "properties": {"spec": spec}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "judgeds.rules.test"},
        "spec": {
            "group": "rules.test",
            "scope": "Namespaced",
            "names": {"kind": "Judged", "plural": "judgeds", "singular": "judged", "listKind": "JudgedList"},
            "versions": [version],
        },
    }


def judged(task: str, *require: dict[str, Any]) -> dict[str, Any]:
    spec = {"task": task, "evaluate": {"gate": {"require": list(require)}}}
    return {"apiVersion": "rules.test/v1", "kind": "Judged", "metadata": {"generateName": "a-"}, "spec": spec}


@pytest.mark.parametrize(
    ("task", "require"),
    [
        ("speech", []),
        ("speech", [{"metric": "wer", "max": 1.5}, {"metric": "exact", "min": 1}]),
        ("tags", [{"metric": "fit", "min": -70}, {"metric": "bleu", "min": 31.5}]),
        ("tags", [{"metric": "miss", "class": "PER", "max": 0}] * 32),
        ("another", [{"metric": "free", "max": 7}]),
    ],
)
def test_what_the_task_has_is_taken(kubectl: Kubectl, task: str, require: list[dict[str, Any]]) -> None:
    kubectl.create(judged(task, *require), "--dry-run=server")


@pytest.mark.parametrize(
    ("task", "requirement", "told"),
    [
        ("speech", {"metric": "bleu", "min": 0.5}, "the metrics of speech are wer, exact"),
        ("speech", {"metric": "wer", "min": 0.5}, "`class`, and is better when lower: give max, 0 or more"),
        ("speech", {"metric": "exact", "max": 0.5}, "is better when higher: give min, 0 to 1"),
        ("speech", {"metric": "wer", "max": -1}, "give max, 0 or more"),
        ("speech", {"metric": "exact", "class": "a", "min": 0.5}, "exact judges all rows: leave out `class`"),
        ("tags", {"metric": "miss", "max": 0.5}, "miss judges one class: name it in `class`"),
        ("tags", {"metric": "bleu", "min": 101}, "is better when higher: give min, 0 to 100"),
    ],
)
def test_what_it_has_not_is_refused_by_name(
    kubectl: Kubectl, task: str, requirement: dict[str, Any], told: str
) -> None:
    good = {"metric": "exact", "min": 0.5} if task == "speech" else {"metric": "fit", "min": 1}
    message = kubectl.refused("create", "--dry-run=server", "-f", "-", stdin=judged(task, good, requirement))
    assert told in message
