"""Every shipped example at its real size: real tweets, the real encoder, the gate that the example asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.demo import data, install, report
from examples.demo.cluster import Cluster
from tests.e2e.harness import ClusterHarness
from tests.served import number_in

EXAMPLES = Path(__file__).parents[2] / "examples"
ROWS = 7500


@pytest.mark.full
def test_sentiment(cluster: Cluster, harness: ClusterHarness) -> None:
    with install.store_client(cluster) as (client, _):
        for name, content in data.minilm().items():
            install.put(client, "base", f"minilm/{name}", content)
        install.put(client, "data", "sentiment/rows.jsonl", data.tweets(ROWS))
    harness.kube("apply", "-f", str(EXAMPLES / "01-sentiment"))
    job = harness.wait_ready("finetunejob", "sentiment", 900)
    version = harness.get("modelversion", job["status"]["version"]) or {}
    reached = version["spec"]["metrics"][0]["values"]["macro_f1"]
    baselines = report.run_report(cluster, version)["baselines"]
    assert reached >= 0.65
    assert reached > baselines["tfidf_logistic_regression"] > baselines["majority"]
    harness.wait("modeldeployment", "sentiment", lambda o: number_in(o) == 1, 180)
    answer = harness.predict("sentiment", "sentiment", list(report.SENTENCES))
    assert [found["label"] for found in answer["predictions"]][:2] == ["negative", "positive"]
