from typing import Any

import pytest
from lupa.lua51 import LuaError

from modelyard.api.kinds import KINDS
from tests import argocd

SPECS = {kind.kind: kind.spec for kind in KINDS}


def born(kind: str) -> dict[str, Any]:
    """As the API server stores it before the operator looks."""
    return {"kind": kind, "metadata": {"name": "new", "generation": 1}, "status": {"observedGeneration": -1}}


@pytest.mark.parametrize("kind", SPECS)
def test_a_new_object_is_not_healthy(kind: str) -> None:
    assert argocd.health(born(kind))[0] == "Progressing"
    assert argocd.health({**born(kind), "status": {}})[0] == "Progressing"


def an_object(kind: str, phase: str, **spec: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "x"}, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("obj", "enabled"),
    [
        (an_object("FineTuneJob", "Training", suspend=False), {"suspend"}),
        (an_object("FineTuneJob", "Suspended", suspend=True), {"resume"}),
        (an_object("FineTuneJob", "Failed", suspend=False), {"retry"}),
        (an_object("FineTuneJob", "Succeeded", suspend=False), set()),
        (an_object("FineTuneJob", "GateFailed", suspend=False), set()),
        (an_object("Dataset", "Preparing"), set()),
        (an_object("Dataset", "Prepared"), {"prepare-again"}),
        (an_object("Dataset", "Failed"), {"prepare-again"}),
        (an_object("ModelVersion", "Verified", deletionPolicy="retain"), {"delete-artifacts-with-object"}),
        (an_object("ModelVersion", "Verified", deletionPolicy="delete"), {"keep-artifacts"}),
        (an_object("ModelDeployment", "Serving", model={"name": "m", "version": 2}), {"follow-latest-passed"}),
        (an_object("ModelDeployment", "RollingOut", model={"name": "m", "follow": "latest-passed"}), set()),
        (an_object("TrainingProfile", "Ready"), set()),
        (an_object("ServingProfile", "Ready"), set()),
    ],
)
def test_only_what_makes_sense_can_be_pressed(obj: dict[str, Any], enabled: set[str]) -> None:
    assert {name for name, may in argocd.actions(obj).items() if may} == enabled


def test_what_the_actions_write() -> None:
    job = an_object("FineTuneJob", "Failed", suspend=False, attempt=2)
    assert argocd.press("suspend", job)["spec"]["suspend"] is True
    assert argocd.press("resume", job)["spec"]["suspend"] is False
    assert argocd.press("retry", job)["spec"]["attempt"] == 3
    assert argocd.press("prepare-again", an_object("Dataset", "Failed", revision=1))["spec"]["revision"] == 2
    version = an_object("ModelVersion", "Verified", deletionPolicy="retain")
    assert argocd.press("delete-artifacts-with-object", version)["spec"]["deletionPolicy"] == "delete"
    assert argocd.press("keep-artifacts", version)["spec"]["deletionPolicy"] == "retain"
    served = an_object("ModelDeployment", "Serving", model={"name": "m", "follow": "latest-passed"})
    served["status"]["versions"] = [{"number": 5, "state": "candidate"}, {"number": 4, "state": "serving"}]
    assert argocd.actions(served)["pin-serving-version"]
    pinned = argocd.press("pin-serving-version", served)
    assert pinned["spec"]["model"] == {"name": "m", "version": 4}
    assert argocd.press("follow-latest-passed", pinned)["spec"]["model"] == {"name": "m", "follow": "latest-passed"}


def test_the_settings_name_every_kind() -> None:
    kinds = {key.rpartition("_")[2] for key in argocd.settings() if ".health." in key}
    assert kinds == set(SPECS)


def test_the_sandbox_has_no_libraries() -> None:
    with pytest.raises(LuaError):
        argocd._run('return { status = ("Healthy"):upper() }', {})
    with pytest.raises(LuaError):
        argocd._run("return { status = os.time() }", {})
