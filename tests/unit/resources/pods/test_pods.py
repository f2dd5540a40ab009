from __future__ import annotations

import pytest

from modelyard import names
from modelyard.api.run import FINAL_EXIT_CODES, REASONS, ExitCode
from modelyard.resources.pods import Hints, diagnose, has_started, is_disrupted, is_live, is_running
from tests.builders import Pod, a_job, a_pod

NEWEST = "10:09:00"
REMEDY = "kubectl -n team-a create secret generic {} --from-literal=AWS_ACCESS_KEY_ID=... "

CASES: list[tuple[str, Pod, str, bool, list[str]]] = [
    (
        "image not found",
        a_pod().waiting("ErrImagePull", 'failed to resolve "modelyard/trainer:1": not found'),
        names.IMAGE_PULL,
        False,
        ["modelyard/trainer:1", "the registry has no such image", "trainer.image", "chart value"],
    ),
    ("image refused", a_pod().waiting("ErrImagePull", "401 Unauthorized"), names.IMAGE_PULL, False, ["refuses access"]),
    ("image name", a_pod().waiting("InvalidImageName", "couldn't parse"), names.IMAGE_PULL, False, ["valid image"]),
    (
        "secret",
        a_pod().waiting("CreateContainerConfigError", 'secret "modelyard-store" not found'),
        names.SECRET_MISSING,
        False,
        ["Secret modelyard-store is missing in namespace team-a", REMEDY.format("modelyard-store")],
    ),
    (
        "key of a secret",
        a_pod().waiting("CreateContainerConfigError", "couldn't find key AWS_ACCESS_KEY_ID in Secret team-a/my-key"),
        names.SECRET_MISSING,
        False,
        ["Secret my-key in namespace team-a has no key AWS_ACCESS_KEY_ID", REMEDY.format("my-key")],
    ),
    (
        "runs as root",
        a_pod().waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
        names.BAD_CONFIG,
        False,
        ["container trainer cannot be created", "run as root"],
    ),
    (
        "no room",
        a_pod().unschedulable("0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available."),
        names.UNSCHEDULABLE,
        False,
        ["waiting: more memory asked, less free on 1 node", "lower spec.resources.memory", "add a node"],
    ),
    ("memory", a_pod().oom(), names.OUT_OF_MEMORY, True, ["more memory than its limit", "spec.resources.memory"]),
    (
        "our words",
        a_pod().told(11, names.BAD_DATA, "column stars is missing: set source.columns.label"),
        names.BAD_DATA,
        True,
        ["column stars is missing: set source.columns.label"],
    ),
    (
        "log line",
        a_pod().exited(1, "first\nsecond\n\n third\nRuntimeError: boom\n"),
        names.TRAINER_FAILED,
        False,
        ["code 1: second | third | RuntimeError: boom"],
    ),
    (
        "where the log lies",
        a_pod().owned_by(a_job("reviews-run")).exited(1, "RuntimeError: boom"),
        names.TRAINER_FAILED,
        False,
        ["RuntimeError: boom; the whole log: kubectl -n team-a logs job/reviews-run"],
    ),
    ("silence", a_pod().exited(137), names.TRAINER_FAILED, False, ["exit code 137 without a message"]),
    ("export", a_pod().told(14, names.EXPORT_DIFFERS, "logits differ"), names.EXPORT_DIFFERS, True, ["logits differ"]),
    (
        "no space",
        a_pod().exited(1, "OSError: [Errno 28] No space left on device"),
        names.DISK_FULL,
        False,
        ["Errno 28"],
    ),
    ("eviction", a_pod().evicted(), names.DISRUPTED, False, ["EvictionByEvictionAPI"]),
    (
        "disk",
        a_pod().status(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "work" exceeds the limit'),
        names.DISK_FULL,
        True,
        ["Evicted", "EmptyDir volume", "LimitRange", "spec.pod.nodeSelector", "spec.pod.ephemeralStorage"],
    ),
    (
        "disk, as seen by the container",
        a_pod().exited(137).status(reason="Evicted", message="Pod ephemeral local storage usage exceeds 10Mi."),
        names.DISK_FULL,
        True,
        ["ephemeral local storage usage exceeds 10Mi; raise spec.pod.ephemeralStorage"],
    ),
    (
        "crash loop",
        a_pod().crashing(1, "ValueError: bad"),
        names.TRAINER_FAILED,
        False,
        ["exit code 1: ValueError: bad"],
    ),
    ("crash loop of memory", a_pod().crashing(137, reason="OOMKilled"), names.OUT_OF_MEMORY, True, ["memory"]),
]


@pytest.mark.parametrize(("pod", "reason", "final", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_fault_names_cause_and_remedy(pod: Pod, reason: str, final: bool, words: list[str]) -> None:
    fault = diagnose([pod])
    assert fault is not None
    assert (fault.reason, fault.final) == (reason, final)
    assert [word for word in words if word not in fault.message] == []


@pytest.mark.parametrize("code", [code for code in ExitCode if code != ExitCode.PUBLISHED])
def test_each_of_our_exit_codes_has_its_reason_also_without_a_message(code: ExitCode) -> None:
    fault = diagnose([a_pod().exited(int(code))])
    assert fault is not None
    assert (fault.reason, fault.final) == (REASONS[code], int(code) in FINAL_EXIT_CODES)


def test_an_outcome_without_words_is_not_shown_as_json() -> None:
    fault = diagnose([a_pod().told(10, "", "")])
    assert fault is not None
    assert (fault.reason, fault.message) == (names.BAD_CONFIG, "container trainer ended with exit code 10")


def test_faults_of_init_containers_count_too() -> None:
    ended = {"terminated": {"exitCode": 16, "message": '{"outcome": "failed", "reason": "ArtifactsCorrupt"}'}}
    waiting = a_pod().waiting("PodInitializing")
    fault = diagnose([waiting.init(ended)])
    assert fault is not None
    assert (fault.reason, fault.final) == (names.CORRUPT, True)
    missing = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "s" not found'}}
    assert getattr(diagnose([waiting.init(missing)]), "reason", "") == names.SECRET_MISSING


HEALTHY = [
    a_pod(),
    a_pod().running(),
    a_pod().exited(0),
    a_pod().waiting("ContainerCreating"),
    a_pod().waiting("PodInitializing").init({"terminated": {"exitCode": 0}}, ready=True),
]


@pytest.mark.parametrize("pod", HEALTHY)
def test_no_fault_where_nothing_is_wrong(pod: Pod) -> None:
    assert diagnose([pod]) is None


SAME = [
    (
        a_pod().waiting("ErrImagePull", 'failed to pull "x": not found'),
        a_pod().waiting("ImagePullBackOff", 'Back-off pulling image "x": ErrImagePull: failed to pull "x": not found'),
    ),
    (a_pod().crashing(3, "boom"), a_pod().exited(3, "boom")),
    (a_pod("one-0-aaaaa").exited(3, "boom"), a_pod("one-0-bbbbb").exited(3, "boom")),
    (
        a_pod().waiting("CreateContainerError", "cannot make container 0123456789abcdef0123"),
        a_pod().waiting("CreateContainerError", "cannot make container fedcba98765432100000"),
    ),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_words_are_the_same_on_every_pass(one: Pod, other: Pod) -> None:
    assert diagnose([one]) == diagnose([other])


def test_a_restarting_server_keeps_its_fault_until_it_is_ready() -> None:
    crashed = a_pod().crashing(1, "boom")
    status = {**crashed["status"]["containerStatuses"][0], "state": {"running": {}}}
    again = crashed.status(containerStatuses=[status])
    assert diagnose([again]) == diagnose([crashed])
    assert diagnose([again.status(containerStatuses=[{**status, "ready": True}])]) is None


def test_live_pods_speak_first_then_the_newest_that_ended() -> None:
    old = a_pod("a").at("10:01:00").exited(1, "old")
    new = a_pod("b").at("10:02:00").exited(1, "new")
    assert "new" in getattr(diagnose([new, old]), "message", "")
    assert "new" in getattr(diagnose([old, new]), "message", "")
    assert diagnose([old, new, a_pod("c").at("10:03:00").running()]) is None
    waiting = a_pod("c").waiting("ErrImagePull", "not found")
    assert getattr(diagnose([a_pod("d").at(NEWEST).running(), waiting]), "reason", "") == names.IMAGE_PULL
    assert diagnose([]) is None


def test_the_owner_says_which_fields_help() -> None:
    hints = Hints(image="set spec.image", memory="raise spec.serve.resources.memory (now 1Gi)")
    assert "(now 1Gi)" in getattr(diagnose([a_pod().oom()], hints), "message", "")
    assert "set spec.image" in getattr(diagnose([a_pod().waiting("ErrImagePull")], hints), "message", "")


STATES = [
    (a_pod(), (True, False, False, False)),
    (a_pod().waiting("ErrImagePull"), (True, False, False, False)),
    (a_pod().running(), (True, True, True, False)),
    (a_pod().running().leaving(), (True, False, True, False)),
    (a_pod().exited(1), (False, False, True, False)),
    (a_pod().exited(0), (False, False, True, False)),
    (a_pod().evicted(), (False, False, True, True)),
    (a_pod().status(phase="Failed", reason="Evicted"), (False, False, False, False)),
]


@pytest.mark.parametrize(("pod", "expected"), STATES)
def test_what_a_pod_is(pod: Pod, expected: tuple[bool, bool, bool, bool]) -> None:
    assert (is_live(pod), is_running(pod), has_started(pod), is_disrupted(pod)) == expected
