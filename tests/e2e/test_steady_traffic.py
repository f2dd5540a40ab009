"""A client that never stops asking: from the moment at which a deployment is called Serving, no request is lost.

Neither when the first version starts to serve, nor on the way to the next one, nor back. Over new and over kept
connections, through the stable Service, with real pods and the kubelet's, kube-proxy's and DNS's own delays.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dev.localcluster.images import image
from examples.demo import install
from examples.demo.follow import ready_condition
from tests.e2e.harness import ClusterHarness, Manifest, dataset, deployment
from tests.served import number_in
from tests.stubtrainer.behaviour import Behaviour

CLIENT = Path(__file__).with_name("steady_client.py")
RATE = 200
SECONDS = 150
SETTLED = 8.0
"""Seconds of traffic between two changes, so that a late fault belongs to the one before."""
pytestmark = pytest.mark.full


def client_pod(harness: ClusterHarness) -> None:
    body = json.dumps({"instances": ["thing1 superb lovely the day"]})
    files = {"steady_client.py": CLIENT.read_text(), "body.json": body}
    install.make_secret(harness.cluster, harness.namespace, "steady", files)
    host = f"steady.{harness.namespace}.svc.cluster.local"
    path = "/v1/models/steady:predict"
    container = {
        "name": "client",
        "image": image("operator"),
        "command": ["python", "/body/steady_client.py", host, "80", path, str(RATE), str(SECONDS)],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "body", "mountPath": "/body"}],
    }
    spec = {
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "body", "secret": {"secretName": "steady"}}],
    }
    harness.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": spec})
    harness.cluster.wait("pod/client", "condition=Ready", harness.namespace)


def serves(number: int) -> Any:
    """Ready, with this version alone."""

    def check(obj: Manifest) -> bool:
        states = {v["state"] for v in obj["status"].get("versions", ())}
        return number_in(obj) == number and states == {"serving"} and ready_condition(obj).get("status") == "True"

    return check


def test_no_request_is_lost(harness: ClusterHarness) -> None:
    served = deployment("steady", "steady")
    served["spec"]["serve"]["resources"]["cpu"] = 0.5
    harness.apply(dataset("rows"), harness.stub("steady"))
    harness.wait_ready("finetunejob", "steady")
    client_pod(harness)
    harness.apply(served)
    harness.wait("modeldeployment", "steady", lambda obj: ready_condition(obj).get("status") == "True", 120, pause=0.05)
    called = time.time()
    time.sleep(SETTLED)
    harness.apply(harness.stub("steady", behaviour=Behaviour(macro_f1=0.96)))
    harness.wait("modeldeployment", "steady", serves(2), 120)
    time.sleep(SETTLED)
    harness.apply({**served, "spec": {**served["spec"], "model": {"name": "steady", "version": 1}}})
    harness.wait("modeldeployment", "steady", serves(1), 120)
    time.sleep(SETTLED)
    harness.cluster.kube(
        "wait", "-n", harness.namespace, "--for=jsonpath={.status.phase}=Succeeded", "pod/client", "--timeout=180s"
    )
    told = [json.loads(line) for line in harness.kube("logs", "client").splitlines()]
    after = [line for line in told if line.get("at", 0) >= called]
    answers: Counter[str] = Counter()
    for line in told:
        answers.update(line.get("answers", {}))
    lost = Counter((line["kept"], line["fault"][:80]) for line in after)
    print(f"answers {dict(answers)}, lost after it was called Serving: {dict(lost)}")
    assert answers["1"] > 1000 and answers["2"] > 1000
    assert not lost, sorted((round(line["at"] - called, 2), line["kept"], line["fault"]) for line in after)[:50]
