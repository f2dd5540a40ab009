"""Prometheus from Debian: it plays the alerts, scrapes the real operator and understands every query we ship."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.localcluster.apiserver import ApiServer
from dev.localcluster.children import Child, free_port
from dev.localcluster.debian import PROMETHEUS, ensure_packages
from dev.localcluster.waiting import answers, wait_until
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import smallest
from tests.cluster.operator_process import OperatorProcess, operator_process

ROOT = Path(__file__).parents[2]
FILES = ROOT / "charts" / "modelyard" / "files"


@pytest.fixture(scope="module", autouse=True)
def prometheus_is_installed() -> None:
    ensure_packages(PROMETHEUS)


def promtool(*arguments: str, told: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *arguments], input=told, capture_output=True, text=True, check=False)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    for path in (FILES / "alerts.yaml", Path(__file__).parent / "alerts.test.yaml"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_alerts_are_rules(rules: Path) -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules / "alerts.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_only_then(rules: Path) -> None:
    done = promtool("test", "rules", str(rules / "alerts.test.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Scraped:
    """A real operator and a Prometheus that scrapes it."""

    operator: OperatorProcess
    url: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        found = urllib.request.urlopen(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}")
        return list(json.load(found)["data"]["result"])

    def get(self, path: str) -> dict[str, Any]:
        return dict(json.load(urllib.request.urlopen(f"{self.url}{path}"))["data"])


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("prometheus")
    with ApiServer() as server:
        kubectl = Kubectl(server.kubeconfig)
        kubectl.ok("create", "-f", str(ROOT / "crds"))
        kubectl.ok("create", "namespace", "ops")
        kubectl.create(smallest("Dataset", name="rows"), "-n", "default")
        with operator_process(server.kubeconfig, "ops", folder / "operator.log") as operator:
            wait_until(operator.ready, "operator", 60)
            child, url = _prometheus(folder, operator.port)
            try:
                wait_until(lambda: child.must_run() and answers(f"{url}/-/ready"), "prometheus", 30)
                scraped = Scraped(operator, url)
                wait_until(lambda: bool(scraped.ask("modelyard_leading == 1")), "a scrape", 30)
                yield scraped
            finally:
                child.stop()


def _prometheus(folder: Path, port: int) -> tuple[Child, str]:
    """The chart's rules and honorLabels, as its ServiceMonitor asks; a second between scrapes."""
    rules = yaml.safe_load((FILES / "alerts.yaml").read_text())
    (folder / "alerts.yaml").write_text(yaml.safe_dump(rules))
    target = {"job_name": "operator", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [target],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    address = f"127.0.0.1:{free_port()}"
    options = [f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    child = Child("prometheus", ["prometheus", *options, f"--web.listen-address={address}"], folder)
    child.start()
    return child, f"http://{address}"


def test_what_the_operator_exposes_follows_the_conventions(scraped: Scraped) -> None:
    text = urllib.request.urlopen(f"http://127.0.0.1:{scraped.operator.port}/metrics").read().decode()
    done = promtool("check", "metrics", told=text)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_prometheus_reads_the_operator(scraped: Scraped) -> None:
    (target,) = scraped.get("/api/v1/targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    wait_until(lambda: bool(scraped.ask('modelyard_objects{kind="Dataset",namespace="default"} == 1')), "objects", 30)
    assert scraped.ask('modelyard_kube_requests_total{verb="GET",kind="Dataset",code="200"} > 0')
    assert scraped.ask('modelyard_watch_events_total{kind="Dataset"} > 0')
    assert scraped.ask('modelyard_reconcile_duration_seconds_count{kind="Dataset"} > 0')
    assert scraped.ask("max(modelyard_watch_lag_seconds) < 10")
    refused = 'modelyard_external_queries_total{outcome="StoreUnavailable"} > 0'
    wait_until(lambda: bool(scraped.ask(refused)), "query", 30)


def test_the_rules_are_loaded_and_none_fires(scraped: Scraped) -> None:
    groups = scraped.get("/api/v1/rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert sum(len(group["rules"]) for group in groups) >= 10
    alerts = scraped.get("/api/v1/alerts")["alerts"]
    assert not [alert["labels"] for alert in alerts if alert["state"] == "firing"]


@pytest.mark.parametrize("path", sorted((FILES / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_prometheus_understands_every_panel(scraped: Scraped, path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    for query in (target["expr"] for panel in panels for target in panel["targets"]):
        scraped.ask(query.replace("$__rate_interval", "1m").replace("$namespace", ".*"))


def test_the_operators_board_shows_something(scraped: Scraped) -> None:
    panels = json.loads((FILES / "dashboards" / "operator.json").read_text())["panels"]
    quiet = {"Refused or lost requests", "Reconciles that fail", "Requests of run pods"}
    for panel in (panel for panel in panels if panel["title"] not in quiet):
        query = panel["targets"][0]["expr"].replace("$__rate_interval", "1m")
        wait_until(partial(_any, scraped, query), panel["title"], 30)


def _any(scraped: Scraped, query: str) -> bool:
    return bool(scraped.ask(query))
