"""Kueue's moves on a real API server and Job controller: the operator leaves the Job to it whatever it does.

No Kueue runs here. The test plays its moves: it unsuspends the Job, evicts it by suspending it again, and resumes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.known_base import make_known
from dev.localcluster.minio import MinioServer
from dev.localcluster.waiting import wait_until
from modelyard import names
from modelyard.api.dataset import DatasetSpec
from modelyard.api.run import DatasetInfo
from modelyard.resources.dataset.prepare_job import prefix
from modelyard.storage.publish import publish
from modelyard.storage.store import Store
from tests.cluster.installed import chart_installed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import operator_process
from tests.e2e.tinybase import base_files

TEAM = ("-n", "team")
BUCKET = "modelyard"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """A cluster with the operator at work, a base model, and rows that are prepared already."""
    folder = tmp_path_factory.mktemp("kueue")
    with MinioServer() as minio, chart_installed(controller_manager=True) as installed:
        _fill(Store.connect(minio.url, minio.access_key, minio.secret_key, patience=5), folder)
        settings = {
            "MODELYARD_STORE_ENDPOINT": minio.url,
            "AWS_ACCESS_KEY_ID": minio.access_key,
            "AWS_SECRET_ACCESS_KEY": minio.secret_key,
        }
        with operator_process(installed.operator.kubeconfig, "ops", folder / "log", settings) as operator:
            wait_until(operator.ready, "operator", 60)
            installed.admin.ok("create", "namespace", "team")
            installed.admin.create(smallest("Dataset"), *TEAM)
            yield installed.admin


def _fill(store: Store, folder: Path) -> None:
    for bucket in (BUCKET, "base"):
        store.ensure_bucket(bucket)
    for name, content in base_files().items():
        store.put("base", f"minilm/{name}", content)
    make_known(store, BUCKET, "team", "s3://base/minilm/")
    rows = folder / "rows"
    rows.mkdir()
    (rows / "train.jsonl").write_text('{"text": "good", "label": "yes"}\n')
    dataset = smallest("Dataset")
    placed = {**dataset, "metadata": {**dataset["metadata"], "namespace": "team"}}
    info = DatasetInfo(
        task="text-classification",
        digest="sha256:" + "d" * 64,
        rows={"train": 1},
        classes={"yes": {"train": 1}},
        removed={},
    )
    publish(store, BUCKET, prefix(placed, DatasetSpec.model_validate(dataset["spec"])), rows, "dataset", info.dump())


@pytest.fixture
def job(kubectl: Kubectl) -> Iterator[str]:
    """The name of the Job of a FineTuneJob with Kueue's label."""
    labelled = smallest("FineTuneJob", name="queued")
    labelled["metadata"]["labels"] = {names.LABEL_QUEUE: "team-a"}
    kubectl.create(labelled, *TEAM)
    wait_reason(kubectl, names.QUEUED)
    yield job_of(kubectl)["metadata"]["name"]
    kubectl.ok(*TEAM, "delete", "finetunejob", "queued")


def one(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    """An object."""
    return dict(json.loads(kubectl.ok(*TEAM, "get", *what, "-o", "json")))


def job_of(kubectl: Kubectl) -> dict[str, Any]:
    """The only Job."""
    (found,) = one(kubectl, "jobs")["items"]
    return dict(found)


def pods_of(kubectl: Kubectl) -> list[dict[str, Any]]:
    """All pods; there is no scheduler and no kubelet, so they only ever wait."""
    return list(one(kubectl, "pods")["items"])


def ready(kubectl: Kubectl) -> dict[str, Any]:
    """Condition Ready of the FineTuneJob."""
    conditions = one(kubectl, "finetunejob", "queued").get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == "Ready"), {})


def wait_reason(kubectl: Kubectl, reason: str) -> None:
    """Until Ready says so."""
    wait_until(lambda: ready(kubectl).get("reason") == reason, f"reason {reason}", 30)


def kueue(kubectl: Kubectl, job: str, *, suspend: bool) -> None:
    """Kueue's move; it writes no other field of the Job's spec but placement while it is suspended."""
    kubectl.ok(*TEAM, "patch", "job", job, "--type=merge", "-p", json.dumps({"spec": {"suspend": suspend}}))


def test_kueue_unsuspends_evicts_and_resumes(kubectl: Kubectl, job: str) -> None:
    made = job_of(kubectl)
    assert made["spec"]["suspend"] is True and made["metadata"]["labels"][names.LABEL_QUEUE] == "team-a"
    assert "team-a" in ready(kubectl)["message"]

    kueue(kubectl, job, suspend=False)
    wait_until(lambda: len(pods_of(kubectl)) == 1, "the pod", 30)
    wait_reason(kubectl, names.WAITING_FOR_POD)
    first = pods_of(kubectl)[0]["metadata"]["uid"]

    kueue(kubectl, job, suspend=True)
    wait_until(lambda: not pods_of(kubectl), "the end of the pod", 30)
    wait_reason(kubectl, names.QUEUED)
    evicted = job_of(kubectl)
    assert evicted["metadata"]["uid"] == made["metadata"]["uid"] and not evicted["status"].get("failed")
    assert one(kubectl, "finetunejob", "queued")["status"]["run"]["state"] == "Running"

    kueue(kubectl, job, suspend=False)
    wait_until(lambda: len(pods_of(kubectl)) == 1, "the next pod", 30)
    assert pods_of(kubectl)[0]["metadata"]["uid"] != first
    # Made once and changed three times, each time by us: the operator wrote nothing to it.
    assert job_of(kubectl)["metadata"]["generation"] == 4


def test_the_users_suspend_gives_the_place_back_and_resume_queues_anew(kubectl: Kubectl, job: str) -> None:
    uid = job_of(kubectl)["metadata"]["uid"]
    kueue(kubectl, job, suspend=False)
    wait_until(lambda: len(pods_of(kubectl)) == 1, "the pod", 30)
    kubectl.ok(*TEAM, "patch", "finetunejob", "queued", "--type=merge", "-p", '{"spec": {"suspend": true}}')
    wait_until(lambda: not one(kubectl, "jobs")["items"] and not pods_of(kubectl), "the end of the Job", 30)
    wait_reason(kubectl, names.SUSPENDED)
    kubectl.ok(*TEAM, "patch", "finetunejob", "queued", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    wait_reason(kubectl, names.QUEUED)
    again = job_of(kubectl)
    assert again["metadata"]["uid"] != uid and again["spec"]["suspend"] is True
