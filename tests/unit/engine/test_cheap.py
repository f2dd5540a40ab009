"""What keeps an event and an object cheap: forgetting it shows in the figures, not in behaviour."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import kopf

from modelyard import names
from modelyard.engine.cache import Cache
from modelyard.engine.handlers import build_registry, build_settings
from modelyard.engine.kube import Kube
from modelyard.engine.main import _collect_rarely, _take_turns_often

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: secret}}]
"""


def job() -> dict[str, Any]:
    owner = {"apiVersion": names.API_VERSION, "kind": "FineTuneJob", "name": "a", "uid": "u1", "controller": True}
    meta: dict[str, Any] = {"name": "run", "namespace": "team", "resourceVersion": "7", "managedFields": [{}]}
    meta["ownerReferences"] = [owner]
    return {"kind": "Job", "metadata": meta, "spec": {"suspend": True, "template": {"spec": {}}}}


def test_a_job_is_remembered_without_its_pod_template() -> None:
    cache = Cache()
    assert cache.put(job())
    known = cache.get("Job", "team", "run")
    assert known is not None
    assert known["spec"] == {"suspend": True}
    assert "managedFields" not in known["metadata"]


def test_a_deployment_keeps_its_template_since_it_is_compared() -> None:
    cache = Cache()
    cache.put({"kind": "ModelDeployment", "metadata": {"name": "a", "namespace": "team", "uid": "u1"}})
    cache.put({**job(), "kind": "Deployment"})
    known = cache.get("Deployment", "team", "run")
    assert known is not None
    assert "template" in known["spec"]


def test_kopf_copies_and_compares_no_state() -> None:
    storage = build_settings().persistence.diffbase_storage
    body = kopf.Body({"metadata": {"name": "run"}, "spec": {"large": True}})
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None


async def test_no_proxy_and_no_netrc_is_looked_up_per_request(tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG)
    kube = await Kube.connect(str(file))
    assert kube.configuration.host == "https://127.0.0.1:1"
    assert kube.configuration.client_session_kwargs == {"trust_env": False}
    await kube.close()


def test_the_collector_of_cycles_runs_rarely() -> None:
    before = gc.get_threshold()
    try:
        _collect_rarely()
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > 0
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_threads_take_turns_often() -> None:
    before = sys.getswitchinterval()
    try:
        _take_turns_often()
        assert sys.getswitchinterval() < before / 5
    finally:
        sys.setswitchinterval(before)


async def test_an_event_is_slim_before_it_is_handed_on() -> None:
    seen: list[dict[str, Any]] = []
    registry = build_registry(["Job"], lambda type_, obj: seen.append(obj))
    functions: list[Any] = [h.fn for h in registry._watching.get_all_handlers() if "jobs" in h.id]
    raw = job()
    for handle in functions:
        await handle(event={"type": "ADDED", "object": raw})
    assert seen
    assert all("managedFields" not in obj["metadata"] and "template" not in obj["spec"] for obj in (*seen, raw))


def test_objects_share_their_keys_and_short_words() -> None:
    cache = Cache()
    long = "x" * 100
    for name in ("a", "b"):
        meta = f'{{"name":"{name}","resourceVersion":"7"}}'
        text = f'{{"kind":"Dataset","metadata":{meta},"spec":{{"some":["word","{long}"]}}}}'
        cache.put(json.loads(text))
    first, second = (cache.get("Dataset", "", name) for name in ("a", "b"))
    assert first is not None and second is not None
    assert first["spec"] == {"some": ["word", long]}
    assert next(iter(first["spec"])) is next(iter(second["spec"]))
    assert first["spec"]["some"][0] is second["spec"]["some"][0]
