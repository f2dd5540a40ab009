"""The shipped example of a task that Modelyard does not know: scikit-learn on a table, judged by metrics of its own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dev.localcluster.images import image
from dev.localcluster.layered import add_layer
from dev.localcluster.layout import REGISTRY
from examples.demo import install
from examples.demo.cluster import Cluster
from tests.e2e.harness import ClusterHarness, Manifest, deployment

EXAMPLE = Path(__file__).parents[2] / "examples" / "07-your-own-task"
NOISE = 5.0
IN_ORDER = True


def example(name: str) -> Manifest:
    return dict(yaml.safe_load((EXAMPLE / f"{name}.yaml").read_text()))


def table(rows: int = 600) -> bytes:
    """Flats whose price follows from the other columns but for some noise."""
    draw = random.Random(7)
    lines = ["area,rooms,age,price"]
    for _ in range(rows):
        area, rooms, age = draw.uniform(20, 150), draw.randint(1, 6), draw.randint(0, 80)
        lines.append(f"{area:.1f},{rooms},{age},{3 * area + 10 * rooms - age + draw.gauss(0, NOISE):.2f}")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def trained(cluster: Cluster, harness: ClusterHarness) -> Iterator[Manifest]:
    """The example's objects, whose version is made; the profile has an image with the script and the libraries."""
    script = EXAMPLE / "train.py"
    reference = f"{REGISTRY}/prices:{hashlib.sha256(script.read_bytes()).hexdigest()[:12]}"
    add_layer(image("trainer"), reference, [(script, "opt/train.py")])
    profile, job, data = example("trainingprofile"), example("finetunejob"), example("dataset")
    profile["metadata"]["name"] = job["spec"]["profile"] = harness.namespace
    profile["spec"]["trainer"]["image"] = reference
    data["spec"]["resources"] = job["spec"]["resources"] = {"cpu": 0.5, "memory": "1Gi"}
    with install.store_client(cluster) as (client, _):
        install.put(client, "data", "prices/rows.csv", table())
    cluster.apply(profile)
    harness.apply(data, job)
    yield harness.wait_ready("finetunejob", "prices", 300)["status"]
    cluster.kube("delete", "trainingprofile", harness.namespace)


def test_a_version_with_metrics_and_files_of_its_own(harness: ClusterHarness, trained: Manifest) -> None:
    assert (trained["version"], trained["gate"], trained["progress"]["percent"]) == ("prices-1", "passed", 100)
    version = harness.wait_ready("modelversion", "prices-1", 60)
    (measured,) = version["spec"]["metrics"]
    assert measured["primary"] == "rmse" and set(measured["values"]) == {"rmse", "mae", "r2"}
    assert NOISE * 0.7 < measured["values"]["rmse"] < 4 * NOISE, "it learned; better than the noise nobody can be"
    assert version["status"]["metric"] == trained["metric"] == f"rmse {measured['values']['rmse']:.3f}"
    assert [(found["format"], found["precision"]) for found in version["spec"]["artifacts"]] == [("joblib", "fp64")]
    keys = harness.stored_keys(version["spec"]["uri"].split("/", 3)[3])
    names = {key.rpartition("/")[2] for key in keys}
    assert names == {"model.joblib", "columns.json", "report.json", "manifest.json"}
    (pod,) = harness.pods_of(trained["run"]["id"])
    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["fetch", "trainer"]


def test_another_gate_judges_it_again_without_training(harness: ClusterHarness, trained: Manifest) -> None:
    ask(harness, {"metric": "rmse", "max": 0.001})
    assert "is above 0.001" in harness.wait_reason("finetunejob", "prices", "GateFailed", 60)
    ask(harness, {"metric": "wer", "max": 1})
    told = harness.wait(
        "modelversion", "prices-1", lambda obj: "wer was asked" in obj["status"].get("gateMessage", ""), 60
    )["status"]
    assert told["gate"] == "failed" and told["gateMessage"].endswith("there are: mae, r2, rmse")
    ask(harness, {"metric": "r2", "min": 0.5})
    again = harness.wait_ready("finetunejob", "prices", 60)["status"]
    assert (again["gate"], again["run"]["id"]) == ("passed", trained["run"]["id"])
    assert len(harness.jobs_of(trained["run"]["id"])) == 1


def ask(harness: ClusterHarness, requirement: Manifest) -> None:
    harness.patch("finetunejob", "prices", {"evaluate": {"gate": {"require": [requirement]}}})


def test_a_deployment_says_that_there_is_no_server(harness: ClusterHarness, trained: Manifest) -> None:
    harness.apply(deployment("prices", "prices", version=1))
    told = harness.wait_reason("modeldeployment", "prices", "ServerMissing", 60)
    assert "version 1 of model prices is of task custom" in told
    assert harness.list_all("pods", "modelyard.dev/deployment=prices") == []
