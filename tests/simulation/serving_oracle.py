"""What every ModelDeployment must serve at the end of a scenario."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelyard import names
from modelyard.api.modeldeployment import CANDIDATE, FAILED, SERVING, version_in
from modelyard.decision import Manifest
from tests.served import number_in

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario


def wrong_deployments(scenario: Scenario) -> Iterator[str]:
    """Every difference between what is served and what should be."""
    for obj in scenario.api.all("ModelDeployment"):
        name = obj["metadata"]["name"]
        yield from (f"ModelDeployment {name}: {line}" for line in _wrong(scenario, obj))


def _wrong(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    status = obj["status"]
    serving, wanted, candidate = number_in(obj), _wanted(scenario, obj), number_in(obj, "candidate")
    yield from _servers(scenario, obj)
    yield from _refresh(scenario, obj)
    if candidate is not None and not _cannot_come_back(scenario, obj):
        yield f"candidate {candidate} is still on trial: {status['conditions']}"
    if wanted is not None and serving != wanted and not _may_have_failed(scenario, obj, wanted):
        yield f"serves {serving}, should serve {wanted}: {status}"
    if wanted is not None and serving == wanted and _ready(obj)["status"] != "True" and _good(scenario, obj, wanted):
        yield f"serves {wanted}, but is not Ready: {_ready(obj)}"


def _servers(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    """The stable Service points to what the status says, and no other server is left."""
    selected = _selected(scenario, obj)
    said = version_in(obj["status"], SERVING).get("server")
    if selected != said and not _cannot_come_back(scenario, obj):
        yield f"status says {said}, the Service selects {selected}"
    servers = sorted(d["metadata"]["labels"][names.LABEL_SERVER] for d in _servers_of(scenario, obj))
    if set(servers) - {said, version_in(obj["status"], CANDIDATE).get("server")}:
        yield f"servers {servers} are left, {said} serves"


def _cannot_come_back(scenario: Scenario, obj: Manifest) -> bool:
    """What had the traffic was corrupted and lost its stable Service: it has it again, and can never answer."""
    known, namespace = version_in(obj["status"], CANDIDATE), obj["metadata"]["namespace"]
    if not known or _selected(scenario, obj) != known["server"]:
        return False
    version = scenario.api.look("ModelVersion", namespace, _version_name(obj, known))
    servers = [d for d in _servers_of(scenario, obj) if d["metadata"]["labels"][names.LABEL_SERVER] == known["server"]]
    answers = any(server.get("status", {}).get("availableReplicas", 0) for server in servers)
    return version is not None and not _is_ready(version) and not answers


def _selected(scenario: Scenario, obj: Manifest) -> str | None:
    """The server to which the stable Service points."""
    stable = scenario.api.look("Service", obj["metadata"]["namespace"], obj["metadata"]["name"])
    return str(stable["spec"]["selector"][names.LABEL_SERVER]) if stable else None


def _servers_of(scenario: Scenario, obj: Manifest) -> list[Manifest]:
    """Its Deployments, KServe's among them."""
    name, found = obj["metadata"]["name"], scenario.api.all("Deployment")
    return [deployment for deployment in found if deployment["metadata"]["labels"][names.LABEL_DEPLOYMENT] == name]


def _refresh(scenario: Scenario, obj: Manifest) -> Iterator[str]:
    """Who was asked to move has moved, or the server that should have taken over failed; who was not asked stays."""
    asked = obj["metadata"].get("annotations", {}).get(names.ANNOTATION_REFRESH)
    serving = version_in(obj["status"], SERVING)
    version = scenario.api.look("ModelVersion", obj["metadata"]["namespace"], _version_name(obj, serving))
    if not serving or version is None or not _is_ready(version):
        return
    platform = scenario.outside.platform
    server = scenario.api.look(
        "Deployment", obj["metadata"]["namespace"], f"{obj['metadata']['name']}-{serving['server']}"
    )
    if server is None or obj["status"]["backend"] != "deployment":
        return
    image = server["spec"]["template"]["spec"]["containers"][0]["image"]
    failed = version_in(obj["status"], FAILED).get("number") == serving["number"]
    if asked is not None and obj["status"].get("refreshed") != asked:
        yield f"was asked to refresh ({asked}), acted on {obj['status'].get('refreshed')}"
    if (image != platform.server_image) != bool(serving.get("behind")):
        yield f"runs {image}, the installation has {platform.server_image}, and says {serving.get('behind')}"
    other = obj["spec"]["model"].get("version", serving["number"]) != serving["number"]
    if platform.refresh and serving.get("behind") and not failed and not other:
        yield f"is behind ({serving['behind']}), though the installation moves servers"


def _version_name(obj: Manifest, serving: Manifest) -> str:
    return f"{obj['spec']['model']['name']}-{serving.get('number')}"


def _wanted(scenario: Scenario, obj: Manifest) -> int | None:
    """The version that has to be served; None where history or nothing decides."""
    model: dict[str, Any] = obj["spec"]["model"]
    serving = number_in(obj)
    versions = {v["spec"]["number"]: v for v in scenario.api.all("ModelVersion") if v["spec"]["model"] == model["name"]}
    if "version" in model:
        pinned = versions.get(model["version"])
        return int(model["version"]) if pinned and _is_ready(pinned) and _has_onnx(pinned) else None
    passed = [n for n, v in versions.items() if _is_ready(v) and v["status"].get("gate") == "passed"]
    best = max(passed, default=None)
    if best is None or serving is None or best > serving:
        return best
    now = versions.get(serving)
    rejected = now is not None and (now["status"].get("gate") == "failed" or not _is_ready(now))
    return best if rejected else serving


def _may_have_failed(scenario: Scenario, obj: Manifest, wanted: int) -> bool:
    # A process that starts while its clock is wrong by hours cannot know how long a trial has lasted.
    jumped = any(name.endswith("/clock_jump") for name in scenario.fault_points.struck)
    return number_in(obj, "failed") == wanted and (jumped or not _good(scenario, obj, wanted))


def _good(scenario: Scenario, obj: Manifest, number: int) -> bool:
    said = version_in(obj["status"], SERVING).get("server", f"v{number}").removeprefix("v")
    server = said if said.split("-")[0] == str(number) else str(number)
    way = scenario.fates.server(obj["metadata"]["name"], server).way
    return way == "good" and not scenario.user.harmed


def _has_onnx(version: Manifest) -> bool:
    return any(found["format"] == "onnx" for found in version["spec"]["artifacts"])


def _is_ready(version: Manifest) -> bool:
    return _ready(version).get("status") == "True" and "deletionTimestamp" not in version["metadata"]


def _ready(obj: Manifest) -> Manifest:
    found = obj.get("status", {}).get("conditions", ())
    return next((c for c in found if c["type"] == names.READY), {})
