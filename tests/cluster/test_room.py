"""What is to come has room in the API of today: see room/README.md."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.apiserver import ApiServer
from modelyard.api.compatible import RULES, UNION, breaks
from modelyard.api.crd import custom_resource_definitions
from modelyard.engine.apply import covers
from modelyard.names import API_VERSION
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import SMALLEST, smallest

Schema = dict[str, Any]
ROOM = sorted(Path(__file__).with_name("room").glob("*.yaml"))


def crds() -> dict[str, Schema]:
    """Today's CRDs by kind."""
    return {crd["spec"]["names"]["kind"]: crd for crd in custom_resource_definitions()}


def with_room(files: list[Path]) -> dict[str, Schema]:
    """The CRDs with the fields of these files."""
    found = copy.deepcopy(crds())
    for field in (field for path in files for field in yaml.safe_load(path.read_text())["fields"]):
        add(found[field["kind"]], field)
    return found


def add(crd: Schema, field: dict[str, Any]) -> None:
    """Add properties, words or members at a place of a schema."""
    node = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for part in field["at"].split("."):
        name = part.removesuffix("[]")
        node = node["properties"][name]["items"] if part != name else node["properties"][name]
    came = {**field.get("properties", {}), **field.get("members", {})}
    assert not set(came) & set(node.get("properties", {})), f"{field['at']} has {', '.join(came)} by now"
    if came:
        node.setdefault("properties", {}).update(came)
    if "words" in field:
        node["enum"] = [*node["enum"], *field["words"]]
    if "members" in field:
        widen(node, list(field["members"]))


def widen(node: Schema, members: list[str]) -> None:
    """The union's rule with more members."""
    (rule,) = [rule for rule in node[RULES] if UNION.fullmatch(rule["rule"])]
    more = "".join(f", has(self.{member})" for member in members)
    rule["rule"] = re.sub(r"\]\.filter", f"{more}].filter", rule["rule"])


@pytest.mark.parametrize("path", ROOM, ids=lambda path: path.stem)
def test_nothing_of_today_breaks(path: Path) -> None:
    after = with_room([path])
    assert {kind: found for kind, crd in crds().items() if (found := breaks(crd, after[kind]))} == {}


@pytest.fixture(scope="module")
def later() -> Iterator[Kubectl]:
    """An API server whose CRDs have all of it."""
    with ApiServer() as server:
        yield served(server, with_room(ROOM))


@pytest.fixture(scope="module")
def today() -> Iterator[Kubectl]:
    """An API server with the CRDs as they are."""
    with ApiServer() as server:
        yield served(server, crds())


def served(server: ApiServer, wanted: dict[str, Schema]) -> Kubectl:
    """kubectl, once the API server serves these kinds."""
    kubectl = Kubectl(server.kubeconfig)
    for crd in wanted.values():
        kubectl.ok("create", "-f", "-", stdin=crd)
    kubectl.ok("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    return kubectl


@pytest.mark.parametrize("path", ROOM, ids=lambda path: path.stem)
def test_a_server_takes_its_objects(later: Kubectl, path: Path) -> None:
    for obj in yaml.safe_load(path.read_text())["objects"]:
        asked = {"apiVersion": API_VERSION, **obj}
        made = later.create(asked, "--validate=strict", "-n", "default")
        assert covers(made["spec"], asked["spec"]), made


@pytest.mark.parametrize("kind", SMALLEST)
def test_objects_of_today_are_read_as_before(today: Kubectl, later: Kubectl, kind: str) -> None:
    """What decides a run is the spec: the same spec gives the same run id."""
    made = [
        kubectl.create(smallest(kind, name="reviews-7" if kind == "ModelVersion" else "same"), "-n", "default")
        for kubectl in (today, later)
    ]
    assert made[0]["spec"] == made[1]["spec"]
