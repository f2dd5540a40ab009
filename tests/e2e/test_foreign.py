"""The shipped example of a trainer of one's own: a plain transformers.Trainer script in another image."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.localcluster.images import image
from dev.localcluster.layered import add_layer
from dev.localcluster.layout import REGISTRY
from examples.demo.cluster import Cluster
from tests.e2e.harness import BASE, ClusterHarness, Manifest, dataset

EXAMPLE = Path(__file__).parents[2] / "examples" / "02-your-own-trainer"
EPOCHS = 60
"""So many that stock Trainer, which posts every five seconds, is seen at work."""


def example(name: str) -> Manifest:
    return dict(yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text()))


@pytest.fixture(scope="module")
def profile(cluster: Cluster, harness: ClusterHarness) -> Iterator[str]:
    """The example's profile with an image that holds the script and the libraries."""
    script = EXAMPLE / "train.py"
    reference = f"{REGISTRY}/my-trainer:{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    add_layer(image("trainer"), reference, [(script, "opt/train.py")])
    manifest = example("trainingprofile")
    manifest["metadata"]["name"] = harness.namespace
    manifest["spec"]["trainer"]["image"] = reference
    cluster.apply(manifest)
    yield harness.namespace
    cluster.kube("delete", "trainingprofile", harness.namespace)


def test_percent_time_left_and_loss_and_then_a_version(harness: ClusterHarness, profile: str) -> None:
    job = example("finetunejob")
    resources = {"cpu": 0.8, "memory": "3Gi"}
    train = {"epochs": EPOCHS, "learningRate": 0.003, "batchSize": 32}
    job["spec"] |= {"profile": profile, "from": {"base": BASE}, "resources": resources, "train": train}
    job["spec"]["input"] = {"text": {"maxLength": 32}}
    # A base that has seen nothing stands still at 0.56 now and then; always naming one class gives 0.2.
    job["spec"]["evaluate"] = {"gate": {"require": [{"metric": "macro_f1", "min": 0.4}]}}
    harness.apply(dataset("sentiment"), job)
    name = job["metadata"]["name"]

    def at_work(obj: Manifest) -> bool:
        progress = obj.get("status", {}).get("progress") or {}
        return 0 < progress.get("percent", 0) < 100 and bool(progress.get("eta")) and "loss" in progress

    seen = harness.wait("finetunejob", name, at_work, 300)["status"]
    assert (seen["phase"], seen["progress"]["stage"]) == ("Training", "train")
    assert 0 < seen["progress"]["step"] < seen["progress"]["steps"]
    done = harness.wait_ready("finetunejob", name, 300)["status"]
    assert (done["version"], done["gate"], done["progress"]["percent"]) == (f"{name}-1", "passed", 100)
    version = harness.wait_ready("modelversion", f"{name}-1", 60)
    assert [found["format"] for found in version["spec"]["artifacts"]] == ["safetensors", "onnx"]
    assert "my-trainer" in version["spec"]["lineage"]["trained"]["image"]
    (pod,) = harness.pods_of(done["run"]["id"])
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["fetch", "trainer"]
