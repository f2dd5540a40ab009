"""Show what came out: predictions, quality per class beside the baselines, and what to try next."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from minio.error import S3Error
from rich.table import Table

from examples.demo.cluster import Cluster
from examples.demo.follow import console
from examples.demo.install import BUCKET, store_client
from examples.demo.shell import ROOT
from modelyard.api import layout
from modelyard.api.modelversion import TEST

SENTENCES = (
    "the flight was two hours late and nobody told us why",
    "thank you so much, best service I ever had!",
    "the plane leaves at nine from gate four",
)


def predict(cluster: Cluster, namespace: str, service: str, model: str) -> dict[str, Any]:
    """Send three sentences to the stable Service and print the answers."""
    body = json.dumps({"instances": list(SENTENCES)}).encode()
    with cluster.forward(f"service/{service}", 80, namespace) as url:
        request = urllib.request.Request(
            f"{url}/v1/models/{model}:predict", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
    table = Table(title=f"Predictions of {model} version {answer.get('version')}")
    for column in ("sentence", "label", "score"):
        table.add_column(column)
    for sentence, found in zip(SENTENCES, answer["predictions"], strict=True):
        table.add_row(sentence, found["label"], f"{found['score']:.2f}")
    console.print(table)
    return answer


def run_report(cluster: Cluster, version: dict[str, Any]) -> dict[str, Any]:
    """The run's report in the store."""
    return dict(json.loads(_of_run(cluster, version, layout.report_key)))


def save_page(cluster: Cluster, version: dict[str, Any]) -> None:
    """Copy the version's page for people out of the store; a run of an earlier release has left none."""
    path = ROOT / "build" / f"{version['metadata']['name']}.html"
    path.parent.mkdir(exist_ok=True)
    try:
        path.write_bytes(_of_run(cluster, version, layout.page_key))
    except S3Error as fault:
        if fault.code != "NoSuchKey":
            raise
        console.print("This version was made by an earlier release, which wrote no page of it.")
    else:
        console.print(f"The version's page, to be opened in a browser: {path}")


def _of_run(cluster: Cluster, version: dict[str, Any], key_of: Callable[[str], str]) -> bytes:
    _, prefix = layout.split_uri(version["spec"]["uri"])
    with store_client(cluster) as (client, _):
        key = key_of(layout.run_of_version(prefix))
        return bytes(client.get_object(bucket_name=BUCKET, object_name=key).read())


def show_quality(version: dict[str, Any], report: dict[str, Any]) -> None:
    """Per-class metrics and the baselines on the same test rows."""
    (metrics,) = (found for found in version["spec"]["metrics"] if found["set"] == TEST)
    primary = metrics["primary"]
    table = Table(title="Quality on the test rows")
    for column in ("class", "precision", "recall", "f1", "rows"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for name, row in sorted(metrics["perClass"].items()):
        table.add_row(name, *(f"{row[m]:.3f}" for m in ("precision", "recall", "f1")), f"{row['support']:.0f}")
    console.print(table)
    beside = Table(title=f"{primary}, all on the same test rows")
    beside.add_column("model")
    beside.add_column(primary, justify="right")
    for name, value in sorted(report.get("baselines", {}).items(), key=lambda pair: float(pair[1])):
        beside.add_row(name.replace("_", " "), f"{value:.3f}")
    beside.add_row(f"[bold]{version['metadata']['name']}[/bold]", f"[bold]{metrics['values'][primary]:.3f}[/bold]")
    console.print(beside)
