"""Labels and annotations of users, and of Argo CD, stay on the users' objects."""

from collections.abc import Iterator
from typing import Any

import pytest

from modelyard.decision import Child
from modelyard.engine.apply import set_owner_and_labels
from modelyard.resources.dataset import RECONCILER as DATASETS
from tests.builders import Built, a_dataset, a_finetunejob, a_profile
from tests.unit.resources.finetunejob.harness import JobHarness
from tests.unit.resources.harness import Harness
from tests.unit.resources.modeldeployment.test_rollout import live

LABELS = {"app.kubernetes.io/instance": "shop", "argocd.argoproj.io/instance": "shop", "team": "blue"}
ANNOTATIONS = {"argocd.argoproj.io/tracking-id": "shop:modelyard.dev/FineTuneJob:team-a/reviews", "note": "mine"}
INLINE = {"inline": {"task": "text-classification", "source": {"inline": [{"text": "a", "label": "b"}] * 9}}}


def marked(obj: Any) -> Any:
    meta = {**obj["metadata"], "labels": LABELS, "annotations": ANNOTATIONS}
    return type(obj)({**obj, "metadata": meta})


def jobs_children() -> tuple[dict[str, Any], tuple[Child, ...]]:
    harness = JobHarness(marked(a_finetunejob()))
    harness.settle()
    return harness.obj, harness.last.children


def inline_children() -> tuple[dict[str, Any], tuple[Child, ...]]:
    harness = JobHarness(marked(a_finetunejob(dataset=INLINE)))
    harness.settle()
    return harness.obj, harness.last.children


def published_children() -> tuple[dict[str, Any], tuple[Child, ...]]:
    harness = JobHarness(marked(a_finetunejob()))
    harness.settle()
    harness.publish()
    decision = harness.go()
    return harness.obj, decision.children


def dataset_children() -> tuple[dict[str, Any], tuple[Child, ...]]:
    harness = Harness(DATASETS, marked(a_dataset()), a_profile())
    harness.settle()
    return harness.obj, harness.last.children


def deployment_children() -> tuple[dict[str, Any], tuple[Child, ...]]:
    harness = live()
    harness.obj = marked(Built(harness.obj))
    return harness.obj, harness.look().children


@pytest.mark.parametrize(
    "make", [jobs_children, inline_children, published_children, dataset_children, deployment_children]
)
def test_nothing_of_the_users_marks_is_on_a_child(make: Any) -> None:
    owner, children = make()
    assert children
    for child in children:
        for key, value in _marks(set_owner_and_labels(owner, child)):
            assert (key, value) not in {*LABELS.items(), *ANNOTATIONS.items()}
            assert not key.startswith("argocd.argoproj.io/") and key != "app.kubernetes.io/instance"


def _marks(manifest: Any) -> Iterator[tuple[str, Any]]:
    """Every label and annotation of a manifest, at whatever depth."""
    if isinstance(manifest, dict):
        for name, value in manifest.items():
            if name in ("labels", "annotations", "matchLabels"):
                yield from value.items()
            yield from _marks(value)
    elif isinstance(manifest, list):
        for item in manifest:
            yield from _marks(item)
