"""A server is moved on a real API server: tried beside the one that serves, which stays until traffic has left it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modelyard.storage.store import Store
from tests.cluster.kubectl import Kubectl
from tests.upgrade import baseline
from tests.upgrade.ground import standing
from tests.upgrade.runtime import HEAD, crds_of, operator, requests, writes
from tests.upgrade.scene import Scene, up

NEW = {"MODELYARD_SERVER_IMAGE": "server:2"}


def test_asked_for_it_takes_over_after_a_prediction_and_nothing_goes_before(tmp_path: Path) -> None:
    with standing(crds_of(HEAD)) as ground:
        baseline.restore(ground)
        minio = ground.minio
        store = Store.connect(minio.url, minio.access_key, minio.secret_key)
        with operator(ground, HEAD, tmp_path / "log", **NEW) as process:
            scene = Scene(Kubectl(ground.api.kubeconfig), store, process, tmp_path)
            scene.until("the word that it is behind", lambda: serving(scene, "live").get("behind") == ["image"])
            since = requests(ground.api)
            scene.kube("annotate", "mdep", "live", "modelyard.dev/refresh=today")
            scene.until("its candidate", lambda: scene.get("deployment", "live-v2-2"))
            assert selected(scene) == "v2"
            up(scene, "live", 2, server="live-v2-2")
            assert selected(scene) == "v2-2" and scene.get("deployment", "live-v2")
            scene.until("its end", lambda: scene.get("mdep", "live")["status"].get("refreshed") == "today")
            assert serving(scene, "live")["server"] == "v2-2" and "behind" not in serving(scene, "live")
            assert serving(scene, "pinned")["behind"] == ["image"], "nobody asked for it"
        found = writes(ground.api, since)
    assert not [line for line in found if line.startswith("delete")], "it drains for half a minute"
    assert "patch deployments team/live-v2" not in found and "patch deployments team/pinned-v1" not in found


def serving(scene: Scene, name: str) -> dict[str, Any]:
    """The server with the traffic, as the status has it."""
    versions = scene.get("mdep", name).get("status", {}).get("versions", [])
    return next((dict(v) for v in versions if v["state"] == "serving"), {})


def selected(scene: Scene) -> str:
    """Which server the stable Service selects."""
    found = json.loads(scene.kube("get", "service", "live", "-o", "json"))
    return str(found["spec"]["selector"]["modelyard.dev/server"])
