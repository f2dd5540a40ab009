"""The trainer in its image on the embedded cluster: speed beside a plain loop, and time to the first step."""

from __future__ import annotations

import json
import uuid
from typing import Any

from dev.bench.figure import Figure, Row
from examples.demo import install, report
from examples.demo.cluster import Cluster, embedded_cluster, image_references
from examples.demo.shell import cache_folder
from tests import in_image
from tests.e2e.harness import ClusterHarness

ENDPOINT = f"http://minio.{install.STORE_NAMESPACE}.svc.cluster.local:9000"


async def measure(quick: bool) -> Figure:
    """The plain loop is the peer, in the same process, on the same batches with the same padding."""
    cluster = embedded_cluster()
    images = image_references(cluster)
    speed = _speed(quick)
    run = _example(cluster, images)
    tokens, limits = speed["tokens_per_second"], speed.get("machine", {})
    rows = [
        Row("trainer over plain loop", speed["ratio"], "ratio", 0.95, "at least"),
        Row("trainer", tokens["trainer"], "tokens/s"),
        Row("peer: plain PyTorch loop", tokens["plain"], "tokens/s"),
        *(Row(f"machine: {name}", value, "") for name, value in limits.items() if isinstance(value, int | float)),
        Row("container start to first step (examples/01-sentiment)", run["train"]["seconds_to_first_step"], "s", 20),
        *(Row(f"stage {name}", seconds, "s") for name, seconds in run["stages"].items()),
    ]
    notes = [f"MiniLM ({speed['parameters']} parameters), {speed['precision']}, interleaved ABBA, medians."]
    return Figure("training", "Trainer beside a plain PyTorch loop, same model, batches and padding", rows, notes)


def _speed(quick: bool) -> dict[str, Any]:
    out = cache_folder() / f"trainer-speed-{uuid.uuid4().hex[:6]}.json"
    size = ["--steps", "5", "--rounds", "1"] if quick else []
    try:
        in_image.run_module("trainer", "dev.bench.trainer_speed", "--out", str(out), *size)
        return dict(json.loads(out.read_text()))
    finally:
        out.unlink(missing_ok=True)


def _example(cluster: Cluster, images: dict[str, str]) -> dict[str, Any]:
    """Report of the first example, trained at its real size in a namespace of its own."""
    install.install_store(cluster, images["minio"])
    install.fill_store(cluster, 7500)
    install.install_chart(cluster, images, ENDPOINT)
    harness = ClusterHarness(cluster, f"bench-{uuid.uuid4().hex[:6]}")
    install.prepare_namespace(cluster, harness.namespace)
    try:
        harness.kube(
            "apply", "-f", "examples/01-sentiment/dataset.yaml", "-f", "examples/01-sentiment/finetunejob.yaml"
        )
        job = harness.wait_ready("finetunejob", "sentiment", 900)
        version = harness.get("modelversion", job["status"]["version"]) or {}
        found = report.run_report(cluster, version)
        return found
    finally:
        cluster.kube("delete", "namespace", harness.namespace, "--wait=false")
