"""Admission with no operator at all: the API server refuses by the chart's ValidatingAdmissionPolicies."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.waiting import wait_until
from modelyard.api.tasks import TASKS
from tests.cluster.bad_manifests import CUSTOM
from tests.cluster.installed import ACCOUNT, Installed, chart_installed
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import REMOVE, changed, smallest
from tests.limit_cases import ALLOWED, FOREIGN, GOLD, LIMITS, NOT_OFFERED, OWN, REFUSED, Case

INLINE: dict[str, Any] = {"task": "text-classification", "source": {"s3": {"uri": "s3://data/r"}}}


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with chart_installed(controller_manager=True) as found:
        found.admin.create(profile("default", {}))
        found.admin.create(profile("narrow", LIMITS))
        found.admin.ok("create", "namespace", "team-a")
        label(found, GOLD)
        wait_until(lambda: _enforced(found), "policies", 60, pause=0.5)
        yield found


@pytest.fixture(scope="module")
def alice(installed: Installed) -> Kubectl:
    """A tenant with the built-in role `edit` in team-a."""
    tenant = installed.tenant("alice", "team-a")
    may = ("auth", "can-i", "create", "finetunejobs.modelyard.dev", "-n", "team-a")
    wait_until(lambda: tenant.run(*may).stdout.strip() == "yes", "the aggregated role", 30, pause=0.3)
    return tenant


def profile(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    made = smallest("TrainingProfile", name=name)
    return {**made, "spec": spec}


def label(installed: Installed, labels: dict[str, str]) -> None:
    patch = {"metadata": {"labels": {"tier": None, "team": None, **labels}}}
    installed.admin.ok("patch", "namespace", "team-a", "--type=merge", "-p", json.dumps(patch))


def made(case: Case) -> dict[str, Any]:
    """The object of a case under the narrow profile, with resources that it allows unless the case says otherwise."""
    start = {"profile": "narrow", "resources": {"cpu": 1, "memory": "1Gi"}}
    return changed(smallest(case.kind, name="case", **start), case.fields)


def _enforced(installed: Installed) -> bool:
    """A policy counts once the API server has compiled it and seen its parameters."""
    bad = [made(REFUSED[0]), made(REFUSED[-1]), smallest("Dataset", **{"source.s3.uri": FOREIGN[0]})]
    return all(installed.admin.run("-n", "team-a", "create", *DRY, "-f", "-", stdin=one).returncode for one in bad)


DRY = ("--dry-run=server", "--validate=strict")


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_within_the_limits(installed: Installed, alice: Kubectl, case: Case) -> None:
    alice.create(made(case), "-n", "team-a", *DRY)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.told)
def test_beyond_the_limits(installed: Installed, alice: Kubectl, case: Case) -> None:
    message = alice.refused("-n", "team-a", "create", *DRY, "-f", "-", stdin=made(case))
    assert case.told.format("TrainingProfile narrow") in message
    without = made(case)
    without["spec"]["profile"] = "default"
    alice.create(without, "-n", "team-a", *DRY)


@pytest.mark.parametrize("case", [case for case in REFUSED if case.kind == "Dataset"], ids=lambda case: case.told)
def test_beyond_the_limits_inside_a_job(installed: Installed, alice: Kubectl, case: Case) -> None:
    inline = {**INLINE, "profile": "narrow", **made(case)["spec"], "source": INLINE["source"]}
    job = smallest("FineTuneJob", dataset={"ref": REMOVE, "inline": inline})
    message = alice.refused("-n", "team-a", "create", *DRY, "-f", "-", stdin=job)
    assert case.told.format("TrainingProfile narrow").replace("spec.", "spec.dataset.inline.", 1) in message


@pytest.mark.parametrize("kind", ["FineTuneJob", "Dataset"])
def test_only_namespaces_that_it_is_offered_to(installed: Installed, alice: Kubectl, kind: str) -> None:
    try:
        for labels, told in NOT_OFFERED:
            label(installed, labels)
            message = _eventually_refused(alice, made(Case(kind, {}, "")), told)
            assert "spec.profile is narrow: it is offered to namespaces with" in message
            assert "team-a lacks" in message
    finally:
        label(installed, GOLD)
    wait_until(lambda: not _create(alice, made(Case(kind, {}, ""))).returncode, "the labels", 20, pause=0.2)


def _create(kubectl: Kubectl, obj: dict[str, Any]) -> Any:
    return kubectl.run("-n", "team-a", "create", *DRY, "-f", "-", stdin=obj)


def _eventually_refused(kubectl: Kubectl, obj: dict[str, Any], told: str) -> str:
    """The API server reads namespaces through a cache."""
    wait_until(lambda: told in _create(kubectl, obj).stderr, told, 20, pause=0.2)
    return str(_create(kubectl, obj).stderr)


@pytest.mark.parametrize("uri", FOREIGN)
def test_no_base_and_no_source_of_another_namespace(installed: Installed, alice: Kubectl, uri: str) -> None:
    inline = {"ref": REMOVE, "inline": {**INLINE, "source": {"s3": {"uri": uri}}}}
    for obj in (
        smallest("FineTuneJob", **{"from.base": uri}),
        smallest("Dataset", **{"source.s3.uri": uri}),
        smallest("Dataset", **{"source.s3": {"uri": uri, "endpoint": "http://minio.minio:9000"}}),
        smallest("FineTuneJob", dataset=inline),
    ):
        message = alice.refused("-n", "team-a", "create", *DRY, "-f", "-", stdin=obj)
        assert f"is {uri}: of ns/ in the artifact store namespace team-a may only name ns/team-a/" in message


@pytest.mark.parametrize("uri", OWN)
def test_own_and_common_places(installed: Installed, alice: Kubectl, uri: str) -> None:
    alice.create(smallest("FineTuneJob", **{"from.base": uri}), "-n", "team-a", *DRY)
    alice.create(smallest("Dataset", **{"source.s3.uri": uri}), "-n", "team-a", *DRY)


def test_a_task_that_only_a_foreign_trainer_knows_needs_one(installed: Installed, alice: Kubectl) -> None:
    foreign = {task.name for task in TASKS.values() if task.foreign}
    assert foreign == {"custom"}, "the chart's policy names it"
    installed.admin.create(profile("theirs", {"trainer": {"image": "theirs:1", "command": ["train"]}}))
    job = smallest("FineTuneJob", profile="default", **CUSTOM)
    told = alice.refused("-n", "team-a", "create", *DRY, "-f", "-", stdin=job)
    assert "TrainingProfile default has no command: name another in spec.profile" in told
    job["spec"]["profile"] = "theirs"
    alice.create(job, "-n", "team-a", *DRY)


def test_what_was_admitted_may_be_labelled_and_deleted_but_not_enlarged(installed: Installed, alice: Kubectl) -> None:
    """A profile that is narrowed later must not make deletion hang."""
    installed.admin.create(profile("later", {}))
    big = smallest("FineTuneJob", name="big", profile="later", **{"resources.memory": "64Gi"})
    alice.create(big, "-n", "team-a")
    narrow = json.dumps({"spec": {"limits": {"memory": "1Gi"}}})
    installed.admin.ok("patch", "trainingprofile", "later", "--type=merge", "-p", narrow)
    wait_until(lambda: bool(_create(alice, {**big, "metadata": {"name": "other"}}).returncode), "the profile", 20)
    alice.ok("-n", "team-a", "label", "ftj", "big", "colour=blue")
    patch = ("-n", "team-a", "patch", "ftj", "big", "--type=merge", "-p")
    assert "spec.resources.memory is 64Gi" in alice.refused(*patch, json.dumps({"spec": {"attempt": 2}}))
    alice.ok("-n", "team-a", "delete", "ftj", "big", "--cascade=foreground", "--timeout=30s")


def test_who_may_edit_may_scale_and_who_may_view_may_not(installed: Installed, alice: Kubectl) -> None:
    alice.create(smallest("ModelDeployment", name="scaled"), "-n", "team-a")
    scale = ("-n", "team-a", "scale", "modeldeployment/scaled", "--replicas=2")
    alice.ok(*scale)
    assert "forbidden" in installed.tenant("onlooker", "team-a", "view").run(*scale).stderr


def test_nobody_but_the_operator_writes_status_and_versions(installed: Installed) -> None:
    """Not even a tenant to whom somebody gave everything in the namespace."""
    mallory = installed.tenant("mallory", "team-a", "cluster-admin")
    mallory.create(smallest("FineTuneJob", name="mine"), "-n", "team-a")
    status = ("-n", "team-a", "patch", "ftj", "mine", "--subresource=status", "--type=merge", "-p")
    done = json.dumps({"status": {"phase": "Succeeded"}})
    told = mallory.refused(*status, done)
    assert "mallory may not write finetunejobs/status" in told and "admission.trustedUsers" in told
    version = smallest("ModelVersion", name="mine-7", model="mine")
    assert "mallory may not write modelversions" in mallory.refused("-n", "team-a", "create", "-f", "-", stdin=version)
    installed.admin.ok(*status, done)
    installed.operator.create(version, "-n", "team-a")


def test_no_policy_has_a_type_error(installed: Installed) -> None:
    """The API server type-checks expressions against the CRDs and says what it finds in status."""
    policies = json.loads(installed.admin.ok("get", "validatingadmissionpolicies", "-o", "json"))["items"]
    assert len(policies) == 5
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and any("typeChecking" not in p.get("status", {}) for p in policies):
        policies = json.loads(installed.admin.ok("get", "validatingadmissionpolicies", "-o", "json"))["items"]
        time.sleep(0.5)
    assert [p["status"]["typeChecking"] for p in policies] == [{}] * 5
    assert ACCOUNT in json.dumps(policies)


PAGE = Path(__file__).parents[2] / "docs/security.md"


def test_what_the_page_says_to_type(installed: Installed) -> None:
    text = PAGE.read_text()
    (profile_,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    commands = re.findall(r"```sh\nkubectl (.*?)\n```", text)
    assert len(commands) == 2
    for command in commands:
        installed.admin.ok(*command.replace("modelyard-profiles-view", "prod-modelyard-profiles-view").split())
    assert installed.tenant("viewer", "team-a", "view").run("get", "trainingprofiles").returncode == 0
    installed.admin.ok("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=yaml.safe_load(profile_))


WINDOW = 5.0
"""Seconds after a start in which objects are created; some servers find the kind of the parameters only after 30."""


def test_an_api_server_that_has_just_started_takes_objects_and_keeps_the_other_policies(installed: Installed) -> None:
    """The kinds of CustomResourceDefinitions, which parameters are of, are found late; see decision 11."""
    dave = installed.tenant("dave", "team-a")
    installed.server.stop_apiserver()
    installed.server.start_apiserver()
    try:
        wait_until(lambda: "no matches for kind" not in _create(dave, smallest("Dataset")).stderr, "the CRDs", 20)
        ended = time.monotonic() + WINDOW
        while time.monotonic() < ended:
            dave.create(smallest("Dataset"), "-n", "team-a", *DRY)
            dave.create(smallest("FineTuneJob"), "-n", "team-a", *DRY)
            foreign = smallest("Dataset", **{"source.s3.uri": FOREIGN[0]})
            assert "may only name ns/team-a/" in dave.refused("-n", "team-a", "create", *DRY, "-f", "-", stdin=foreign)
    finally:
        wait_until(lambda: _enforced(installed), "policies", 60, pause=0.5)


def test_only_what_has_a_second_guard_is_ever_passed_over(installed: Installed) -> None:
    """The operator holds what profiles allow as well (tests/limit_cases.py); the other policies stand alone."""
    policies = json.loads(installed.admin.ok("get", "validatingadmissionpolicies", "-o", "json"))["items"]
    found = {policy["metadata"]["name"].removeprefix("prod-modelyard-"): policy["spec"] for policy in policies}
    ignored = {name for name, spec in found.items() if spec["failurePolicy"] == "Ignore"}
    assert ignored == {name for name, spec in found.items() if "paramKind" in spec}
    assert ignored == {"profile-finetunejobs", "profile-datasets", "profile-modeldeployments"}
