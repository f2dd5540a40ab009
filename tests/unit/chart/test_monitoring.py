from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.chart.conftest import CHART, Render, template
from tests.unit.chart.test_chart import one

ALL = tuple(f"metrics.{part}.enabled=true" for part in ("serviceMonitor", "rules", "dashboards"))


def test_nothing_of_the_prometheus_operator_unless_asked(render: Render) -> None:
    assert not [obj for obj in render() if obj["apiVersion"].startswith("monitoring")]
    assert "ConfigMap" not in {obj["kind"] for obj in render()}


def test_the_service_leads_to_the_operators_port(render: Render) -> None:
    (service,) = (obj for obj in render() if obj["metadata"]["name"] == "prod-modelyard-metrics")
    deployment = one(render(), "Deployment")["spec"]
    assert service["spec"]["selector"] == deployment["selector"]["matchLabels"]
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {p["name"] for p in deployment["template"]["spec"]["containers"][0]["ports"]}


def test_the_service_monitor_selects_the_service(render: Render) -> None:
    monitor = one(render(*ALL), "ServiceMonitor")["spec"]
    (service,) = (obj for obj in render(*ALL) if obj["metadata"]["name"] == "prod-modelyard-metrics")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint == {"port": "http", "path": "/metrics", "interval": "30s", "honorLabels": True}
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_servers_are_scraped_in_all_namespaces(render: Render) -> None:
    monitor = one(render(*ALL), "PodMonitor")["spec"]
    assert monitor["namespaceSelector"] == {"any": True}
    assert monitor["selector"]["matchLabels"]["modelyard.dev/kind"] == "modeldeployment"


def test_rules_are_those_of_the_file_with_the_readers_address(render: Render) -> None:
    found = one(render(*ALL, "metrics.rules.runbooks=https://wiki.example/runbooks"), "PrometheusRule")["spec"]
    text = (CHART / "files" / "alerts.yaml").read_text()
    assert found == yaml.safe_load(text.replace("RUNBOOKS", "https://wiki.example/runbooks"))


def test_dashboards_are_the_files(render: Render) -> None:
    maps: list[dict[str, Any]] = [obj for obj in render(*ALL) if obj["kind"] == "ConfigMap"]
    (found,) = (obj for obj in maps if obj["metadata"]["labels"].get("grafana_dashboard") == "1")
    files = sorted(Path(CHART, "files", "dashboards").glob("*.json"))
    assert found["data"] == {f"modelyard-{path.name}": path.read_text().rstrip("\n") for path in files}


def test_labels_are_added(render: Render) -> None:
    labels = tuple(f"metrics.{part}.labels.release=prom" for part in ("serviceMonitor", "rules"))
    for kind in ("ServiceMonitor", "PodMonitor", "PrometheusRule"):
        assert one(render(*ALL, *labels), kind)["metadata"]["labels"]["release"] == "prom"


@pytest.mark.parametrize("value", ["metrics.serviceMonitor.interval=often", "metrics.rules.url=x"])
def test_bad_values_are_refused(value: str) -> None:
    assert template("store.endpoint=http://s:9000", "store.existingSecret=key", value).returncode != 0
