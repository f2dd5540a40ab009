"""Which edits start a run, what stands pinned, and the Job's way from the first pod to the last."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard import names
from modelyard.api import recipes
from modelyard.api.finetunejob import BasePin, DatasetPin, FineTuneJobSpec, Pinned
from modelyard.api.run import FINAL_EXIT_CODES, TrainConfig
from modelyard.api.store import StoreLocation
from modelyard.api.tasks import BASE
from modelyard.decision import Answer, Ref
from modelyard.resources.finetunejob.run_id import run_id, spec_hash
from tests.builders import Job, Pod, a_dataset, a_finetunejob, a_job, a_listing, a_profile
from tests.unit.resources.finetunejob.harness import CONTENT, JobHarness, started, succeeded, training

LORA = {"lora": {"rank": 4}}
HASHED: list[dict[str, Any]] = [
    {"model": {"name": "other"}},
    {"from": {"base": "s3://base/large/"}},
    {"dataset": {"ref": "tweets"}},
    {"method": LORA},
    {"method": {"full": {}}},
    {"train": {"epochs": 2}},
    {"input": {"text": {"maxLength": 64}}},
    {"export": ["safetensors"]},
    {"attempt": 2},
]
NOT_HASHED: list[dict[str, Any]] = [
    {"profile": "big"},
    {"resources": {"cpu": 4, "memory": "16Gi", "gpu": 1}},
    {"suspend": True},
    {"checkpoint": {"every": "1m"}},
    {"evaluate": {"gate": {"require": [{"metric": "accuracy", "min": 0.9}]}}},
    {"from": {"base": "s3://base/minilm"}},
    {"export": ["onnx", "safetensors"]},
    {"train": {"precision": "auto", "seed": 7}},
    {"objective": {"fineTune": {}}},
    {"method": {"lora": {}}},
]


@pytest.mark.parametrize("change", HASHED)
def test_hashed_fields_supersede_the_run(change: dict[str, Any]) -> None:
    harness = training()
    harness.put(a_profile("big"), a_dataset("tweets").prepared(digest="sha256:" + "e" * 64))
    before, job = harness.run, harness.named("Job")
    harness.edit(**change)
    harness.settle()
    assert harness.run["id"] != before["id"]
    assert harness.run["state"] == "Running"
    assert len(harness.named("Job")) == 1 and harness.named("Job") != job
    assert harness.status["resumes"] == 0


@pytest.mark.parametrize("change", NOT_HASHED)
@pytest.mark.parametrize("make", [training, succeeded])
def test_other_fields_never_do(change: dict[str, Any], make: Any) -> None:
    harness = make()
    harness.put(a_profile("big", trainer={"image": "modelyard/trainer:2"}))
    before, job = harness.run, harness.job()["metadata"]["uid"]
    harness.edit(**change)
    harness.settle()
    assert {**harness.run, "lastPod": None} == {**before, "lastPod": None}
    assert harness.job()["metadata"]["uid"] == job


OUTSIDE: list[Any] = [
    lambda harness: harness.put(a_dataset().prepared(digest="sha256:" + "e" * 64)),
    lambda harness: harness.put(a_profile(trainer={"image": "modelyard/trainer:2"}, retries=0)),
    lambda harness: harness.remove("TrainingProfile", "default"),
    lambda harness: harness.remove("Dataset", "reviews"),
    lambda harness: harness.facts.update(listing=a_listing(digest="sha256:" + "c" * 64)),
    lambda harness: harness.facts.update(listing={"digest": "x", "files": []}),
]


@pytest.mark.parametrize("change", OUTSIDE)
@pytest.mark.parametrize("make", [training, succeeded])
def test_pins_rule_whatever_changes_outside(change: Any, make: Any) -> None:
    harness = make()
    before, job = harness.run, harness.job()["metadata"]["uid"]
    change(harness)
    harness.settle()
    assert (harness.run, harness.job()["metadata"]["uid"]) == (before, job)


def test_pins_stand_in_the_status_with_the_first_child() -> None:
    harness = JobHarness()
    harness.go()
    pinned = harness.run["pinned"]
    assert pinned["image"] == "modelyard/trainer:1"
    assert pinned["base"] == {"uri": "s3://base/minilm/", "digest": CONTENT, "listing": "sha256:" + "b" * 64}
    assert pinned["dataset"]["digest"] == "sha256:" + "d" * 64
    assert (harness.run["state"], harness.run["model"], len(harness.run["id"])) == ("Running", "reviews", 16)
    assert harness.run["startedAt"] == "2026-11-22T10:00:00Z"


def spec(**fields: Any) -> FineTuneJobSpec:
    return FineTuneJobSpec.model_validate(a_finetunejob(**fields)["spec"])


def id_of(made: FineTuneJobSpec, data: str = "sha256:d", base: str = "sha256:b", rows: int = 800) -> str:
    filled = filled_for(made, rows)
    pinned = Pinned(
        image="trainer:1",
        base=BasePin(uri=made.from_.uri, digest=base),
        dataset=DatasetPin(name="any", prefix="any/", digest=data),
        recipe=filled.recipe,
        method=filled.method,
        input=filled.input,
        train=filled.train,
    )
    return run_id(made, "reviews", pinned, 1)


def filled_for(made: FineTuneJobSpec, rows: int = 800) -> recipes.Resolved:
    return recipes.resolved(recipes.Asked(made.task, made.method, made.input, made.train), rows)


def test_the_dataset_enters_the_id_by_content_alone() -> None:
    one, other = spec(dataset={"ref": "reviews"}), spec(dataset={"ref": "tweets"})
    assert id_of(one, "d", "b") == id_of(other, "d", "b")
    assert id_of(one, "d", "b") != id_of(one, "e", "b")
    assert id_of(one, "d", "b") != id_of(one, "d", "c")
    assert spec_hash(one, "m", 1) != spec_hash(other, "m", 1)


def test_hyper_parameters_enter_the_id_as_they_are_trained() -> None:
    """Written out or filled by the recipe: the work is the same; other rows give other epochs."""
    filled = filled_for(spec())
    same = spec(method=filled.method.dump(), train=filled.train.dump(), input=filled.input.dump())
    assert id_of(same) == id_of(spec())
    assert spec_hash(same, "reviews", 1) != spec_hash(spec(), "reviews", 1)
    assert id_of(spec(), rows=8000) != id_of(spec())


def newer(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = ("text-classification", BASE, "lora")
    old = recipes.RECIPES[kind]
    monkeypatch.setitem(recipes.RECIPES, kind, {**old, 99: replace(old[1], learning_rate=0.0123)})


@pytest.mark.parametrize("make", [started, training, succeeded])
def test_a_new_recipe_starts_no_run_and_counts_for_the_next(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = make()
    before, job = harness.run, harness.job()["metadata"]["uid"]
    assert (before["pinned"]["recipe"], before["pinned"]["train"]["learningRate"]) != (99, 0.0123)
    newer(monkeypatch)
    harness.settle()
    assert (harness.run, harness.job()["metadata"]["uid"]) == (before, job)
    harness.edit(attempt=2)
    harness.settle()
    pinned = harness.run["pinned"]
    assert (pinned["recipe"], pinned["train"]["learningRate"]) == (99, 0.0123)
    assert harness.run["id"] != before["id"]


def test_the_pod_gets_the_pinned_values(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = started()
    newer(monkeypatch)
    harness.settle()
    wanted = harness.wanted("ConfigMap")
    assert wanted is not None
    config = TrainConfig.model_validate(json.loads(wanted.manifest["data"]["run.json"]))
    assert config.train.dump() == harness.run["pinned"]["train"]
    assert config.method.dump() == harness.run["pinned"]["method"]
    assert "input.text.maxLength" in config.by_recipe


def test_epochs_of_the_recipe_stay_within_the_profile() -> None:
    def epochs(profile: Any) -> int:
        harness = JobHarness(a_finetunejob(), profile, a_dataset().prepared())
        harness.settle()
        return int(harness.run["pinned"]["train"]["epochs"])

    assert epochs(a_profile()) > 2
    assert epochs(a_profile(limits={"epochs": 2})) == 2


def test_several_gpus_are_refused_with_the_reason() -> None:
    harness = JobHarness(a_finetunejob(resources={"gpu": 2}))
    harness.settle()
    assert (harness.reason, harness.stalled, harness.named("Job")) == (names.NOT_ALLOWED, True, [])
    assert "spec.resources.gpu is 2" in harness.message and "set it to 1" in harness.message
    own = a_profile(trainer={"image": "mine", "command": ["train"]})
    harness = JobHarness(a_finetunejob(resources={"gpu": 2}), own, a_dataset().prepared())
    harness.settle()
    assert harness.reason == names.WAITING_FOR_POD


def test_the_hashes_do_not_move() -> None:
    """Golden values: others would train everything again at the next upgrade of the operator."""
    assert id_of(spec()) == "cdd304f3da00faf4"
    assert spec_hash(spec(), "reviews", 1) == "8bd4d38eacb1e890"
    full = spec(method=LORA, train={"epochs": 3, "learningRate": 0.001, "batchSize": 8}, export=["onnx"], attempt=3)
    assert id_of(full) == "88c9dd8ec131c2cc"


def test_the_job_is_one_indexed_restricted_pod_that_is_never_patched() -> None:
    harness = started(resources={"cpu": 0.5, "memory": "2048Mi"})
    job = harness.job()["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 1, 1)
    assert (job["backoffLimit"], job["podReplacementPolicy"]) == (3, "Failed")
    final, disrupted, asked_to_stop = job["podFailurePolicy"]["rules"]
    assert final["action"] == "FailJob"
    assert final["onExitCodes"] == {"containerName": "trainer", "operator": "In", "values": list(FINAL_EXIT_CODES)}
    assert disrupted == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (asked_to_stop["action"], asked_to_stop["onExitCodes"]["values"]) == ("Ignore", [143])
    pod = job["template"]["spec"]
    assert (pod["restartPolicy"], pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (
        "Never",
        False,
        False,
    )
    assert pod["terminationGracePeriodSeconds"] == 60
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert "command" not in container and "args" not in container
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container["resources"]["limits"] == container["resources"]["requests"] == {"cpu": "500m", "memory": "2Gi"}
    mounts = [m["mountPath"] for m in container["volumeMounts"]]
    tokens = [f"/var/run/secrets/modelyard/{purpose}" for purpose in ("progress", "credentials")]
    assert mounts == ["/work", "/tmp", "/etc/modelyard", *tokens]
    assert job["template"]["metadata"]["labels"][names.LABEL_RUN] == harness.run["id"]
    child = harness.wanted("Job")
    assert child is not None and (child.policy, child.suspend) == ("create", False)
    assert "suspend" not in child.manifest["spec"]


def test_each_purpose_has_a_token_that_opens_nothing_else() -> None:
    harness = started()
    pod, name = harness.job()["spec"]["template"]["spec"], harness.job()["metadata"]["name"]
    sources = [source for volume in pod["volumes"] for source in volume.get("projected", {}).get("sources", ())]
    audiences = [source["serviceAccountToken"]["audience"] for source in sources]
    assert audiences == [f"modelyard.dev/jobs/{name}/progress", f"modelyard.dev/jobs/{name}/credentials"]


def test_the_pod_knows_where_to_post_and_whom_to_trust() -> None:
    harness = started()
    name, env = harness.job()["metadata"]["name"], {}
    for entry in harness.job()["spec"]["template"]["spec"]["containers"][0]["env"]:
        env[entry["name"]] = entry.get("value")
    url = f"https://modelyard.ops.svc/v1/namespaces/team-a/jobs/{name}/progress"
    assert env["KUBEFLOW_TRAINER_SERVER_URL"] == url
    assert env["KUBEFLOW_TRAINER_SERVER_CA_CERT"] == "/etc/modelyard/ca.crt"
    assert env["KUBEFLOW_TRAINER_SERVER_TOKEN"] == "/var/run/secrets/modelyard/progress/token"
    config = harness.wanted("ConfigMap")
    assert config is not None and config.manifest["data"]["ca.crt"] == "PEM"


def test_gpus_placement_and_keys_reach_the_pod() -> None:
    profile = a_profile(
        pod={"nodeSelector": {"pool": "gpu"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]},
        store={"secret": "team-key"},
    )
    harness = JobHarness(
        a_finetunejob(resources={"gpu": 1, "cpu": 8, "memory": "64Gi"}), profile, a_dataset().prepared()
    )
    harness.settle()
    pod = harness.job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {"name": "shm", "emptyDir": {"medium": "Memory"}} in pod["volumes"]
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"pool": "gpu"}, [{"key": "gpu", "operator": "Exists"}])
    keys = {e["name"]: e["valueFrom"]["secretKeyRef"]["name"] for e in container["env"] if "valueFrom" in e}
    assert keys == {"AWS_ACCESS_KEY_ID": "team-key", "AWS_SECRET_ACCESS_KEY": "team-key"}
    assert "MODELYARD_CREDENTIALS_URL" not in {e["name"] for e in container["env"]}
    assert "credentials-token" not in {volume["name"] for volume in pod["volumes"]}


def test_no_secret_is_mounted_by_default() -> None:
    harness = started()
    pod, name = harness.job()["spec"]["template"]["spec"], harness.job()["metadata"]["name"]
    env = {e["name"]: e for e in pod["containers"][0]["env"]}
    assert all("valueFrom" not in entry for entry in env.values())
    assert env["MODELYARD_CREDENTIALS_URL"]["value"].endswith(f"/v1/namespaces/team-a/jobs/{name}/credentials")


def test_the_pod_reads_what_was_pinned() -> None:
    harness = started(checkpoint={"every": "90s", "keep": 3}, method=LORA)
    (name,) = harness.named("ConfigMap")
    child = harness.children["ConfigMap", name]
    assert (child["immutable"], name) == (True, harness.named("Job")[0])
    config = TrainConfig.model_validate(json.loads(child["data"]["run.json"]))
    assert (config.run, config.model, config.name) == (harness.run["id"], "reviews", "reviews")
    assert config.prefix == f"ns/team-a/models/reviews/runs/{harness.run['id']}/"
    assert config.method.lora is not None
    assert (config.checkpoint_every, config.checkpoint_keep, config.method.lora.rank) == (90, 3, 4)
    assert (config.store.endpoint, config.store.bucket) == ("http://store:9000", "modelyard")


REPAIRS: list[Any] = [
    lambda harness: harness.edit(resources={"cpu": 1, "memory": "1Gi"}),
    lambda harness: harness.put(a_profile(trainer={"image": "modelyard/trainer:2"})),
    lambda harness: harness.put(a_profile(pod={"nodeSelector": {"pool": "b"}})),
]


@pytest.mark.parametrize("repair", REPAIRS)
def test_until_a_pod_ran_a_repair_replaces_the_job(repair: Any) -> None:
    harness = started()
    run, uid, name = harness.run["id"], harness.job()["metadata"]["uid"], harness.named("Job")
    pod = harness.pod(lambda pod: pod.waiting("ErrImagePull", "not found"))
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.IMAGE_PULL, True)
    repair(harness)
    harness.go()
    assert harness.named("Job") == []
    harness.pods.append(pod.leaving())
    harness.go(3)
    assert harness.named("Job") == []
    harness.pods.clear()
    harness.settle()
    assert (harness.run["id"], harness.named("Job")) == (run, name)
    assert harness.job()["metadata"]["uid"] != uid
    wanted = harness.wanted("Job")
    assert wanted is not None
    assert harness.job()["spec"]["template"]["spec"] == wanted.manifest["spec"]["template"]["spec"]


def test_once_a_pod_ran_changes_count_from_the_next_attempt_and_the_condition_says_so() -> None:
    harness = training()
    harness.put(a_profile("big"))
    harness.edit(resources={"cpu": 4, "memory": "16Gi"}, profile="big")
    harness.settle()
    assert "spec.resources and spec.profile will count from the next attempt (spec.attempt: 2)" in harness.message
    assert harness.deaths == 0


def test_suspend_holds_the_job_and_resume_lets_it_go_on() -> None:
    harness = training()
    harness.edit(suspend=True)
    harness.settle()
    assert (harness.reason, harness.status["phase"], harness.stalled) == (names.SUSPENDED, "Suspended", False)
    assert [c["type"] for c in harness.status["conditions"]] == ["Ready"]
    assert harness.job()["spec"]["suspend"] is True
    harness.pods.clear()
    harness.settle()
    assert harness.last.wake_after is None
    harness.edit(suspend=False)
    harness.settle()
    assert harness.job()["spec"]["suspend"] is False
    harness.pod(Pod.running, 2)
    harness.settle()
    assert (harness.reason, harness.status["resumes"], harness.births) == (names.TRAINING, 1, 2)


def test_a_job_that_is_suspended_before_its_inputs_are_there_looks_for_them_again() -> None:
    harness = JobHarness(a_finetunejob(suspend=True))
    harness.facts["listing"] = Answer(reason=names.STORE_UNAVAILABLE, message="down")
    assert harness.settle().wake_after is not None
    assert harness.reason == names.SUSPENDED


def test_a_job_that_is_suspended_from_the_start_is_made_suspended() -> None:
    harness = JobHarness(a_finetunejob(suspend=True))
    harness.settle()
    assert (harness.reason, harness.job()["spec"]["suspend"]) == (names.SUSPENDED, True)
    without = JobHarness(a_finetunejob(suspend=True), a_profile())
    without.settle()
    assert (without.reason, without.stalled, without.named("Job")) == (names.SUSPENDED, False, [])
    assert "there is no Dataset reviews" in without.message


WAITING: list[tuple[Any, str, bool]] = [
    (lambda pod: pod.waiting("ImagePullBackOff", "not found"), names.IMAGE_PULL, True),
    (lambda pod: pod.waiting("CreateContainerConfigError", 'secret "s" not found'), names.SECRET_MISSING, True),
    (lambda pod: pod.unschedulable(), names.UNSCHEDULABLE, False),
    (lambda pod: pod.waiting("ContainerCreating"), names.WAITING_FOR_POD, False),
]


@pytest.mark.parametrize(("state", "reason", "stalled"), WAITING)
def test_a_pod_that_cannot_start_is_named_and_recovers_by_itself(state: Any, reason: str, stalled: bool) -> None:
    harness = started()
    harness.pod(state)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.status["phase"]) == (
        reason,
        stalled,
        "Stalled" if stalled else "Pending",
    )
    assert harness.run["state"] == "Running"
    harness.pod(Pod.running)
    harness.settle()
    assert (harness.reason, harness.stalled, harness.births) == (names.TRAINING, False, 2)


@pytest.mark.parametrize("kind", ["Job", "ConfigMap"])
def test_a_refused_child_is_told_and_tried_again(kind: str) -> None:
    harness = JobHarness()
    harness.go()
    name = harness.named("Job")[0]
    harness.remove("Job", name)
    harness.remove("ConfigMap", name)
    harness.refused = {(kind, name): "exceeded quota: count/jobs.batch=1"}
    harness.go(3)
    assert (harness.reason, harness.stalled, harness.run["state"]) == (names.QUOTA, True, "Running")
    assert "exceeded quota: count/jobs.batch=1" in harness.message
    harness.refused = {}
    harness.settle()
    assert (harness.reason, harness.stalled) == (names.WAITING_FOR_POD, False)


def test_a_deleted_job_is_made_again_never_beside_a_living_pod() -> None:
    harness = training()
    pod = harness.pods[0]
    name = harness.named("Job")[0]
    harness.job(Job.leaving)
    harness.settle()
    assert harness.births == 2
    harness.remove("Job", name)
    harness.settle()
    assert harness.named("Job") == []
    harness.pods.remove(pod)
    harness.settle()
    assert harness.named("Job") == [name]


def test_no_pod_is_made_beside_one_that_another_objects_job_left() -> None:
    harness = started()
    name, other = harness.named("Job")[0], JobHarness()
    left = harness.pod(Pod.running).owned_by(a_job("of-another-object"))
    other.put(left)
    other.settle()
    assert (other.reason, other.named("Job")) == (names.PENDING, [])
    other.remove("Pod", left["metadata"]["name"])
    other.settle()
    assert other.named("Job") == [name]


def test_the_pod_reaches_the_store_as_the_installation_does() -> None:
    harness = JobHarness()
    pem, proxy = "-----BEGIN CERTIFICATE-----", "http://proxy:3128"
    harness.platform = replace(harness.platform, store_ca_bundle=pem, store_proxy=proxy, store_addressing="virtualHost")
    harness.settle()
    (config,) = [child for (kind, _), child in harness.children.items() if kind == "ConfigMap"]
    store = TrainConfig.model_validate(json.loads(config["data"]["run.json"])).store
    assert store == StoreLocation(**harness.platform.store.model_dump(), bucket="modelyard")
    assert (store.ca_bundle, store.proxy, store.addressing) == (pem, proxy, "virtualHost")


def test_the_end_of_a_twins_config_map_wakes_the_one_who_made_the_job() -> None:
    harness = started()
    asked = set(harness.reconciler.needs(harness.obj, harness.observe()))
    assert Ref("ConfigMap", harness.named("Job")[0], "team-a") in asked


def test_pods_of_a_former_life_of_the_name_do_not_count() -> None:
    harness = started()
    old = harness.pod(Pod.oom)
    harness.pods = [old.owned_by(a_job("of-a-namesake"))]
    harness.settle()
    assert (harness.reason, harness.run["state"]) == (names.WAITING_FOR_POD, "Running")


def test_a_job_that_counts_its_pod_before_we_see_it_changes_nothing_yet() -> None:
    harness = started()
    writes = harness.writes
    harness.job(lambda job: job.status(active=1, ready=1))
    harness.settle()
    assert (harness.reason, harness.writes) == (names.WAITING_FOR_POD, writes)
    harness.edit(resources={"cpu": 1, "memory": "1Gi"})
    harness.settle()
    assert harness.deaths == 0


def test_a_whole_run_writes_little_and_tells_its_story() -> None:
    harness = succeeded()
    assert harness.writes + harness.births <= 10
    assert harness.events == [names.WAITING_FOR_POD, names.TRAINING, names.PUBLISHING, names.SUCCEEDED]
