"""Alerts, dashboards and pages speak only of metrics that exist, and of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from modelyard.engine import metrics
from modelyard.engine.cache import Cache
from modelyard.engine.figures import Figures
from modelyard_server import metrics as server

ROOT = Path(__file__).parents[3]
FILES = ROOT / "charts" / "modelyard" / "files"
DASHBOARDS = sorted((FILES / "dashboards").glob("*.json"))
NAME = re.compile(r"\b(?:modelyard|process)_\w+")
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
}


def declared(module: Any) -> list[MetricWrapperBase]:
    return [value for value in vars(module).values() if isinstance(value, MetricWrapperBase)]


def rows(module: Any) -> list[str]:
    """The lines of the page's table for a module's metrics."""
    lines = []
    for metric in declared(module):
        kind = str(metric._type)
        name = metric._name + {"counter": "_total", "info": "_info"}.get(kind, "")
        labels = ["version"] if kind == "info" else metric._labelnames
        lines.append(line(name, kind, labels, metric._documentation))
    return lines


def gauges() -> list[str]:
    families = Figures(Cache(), dict).collect()
    return [line(f.name, "gauge", getattr(f, "_labelnames", ()), f.documentation) for f in families]


def line(name: str, kind: str, labels: Any, text: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"


def exposed() -> set[str]:
    """Every name that a sample can have."""
    names = {f"{m._name}{s}" for m in (*declared(metrics), *declared(server)) for s in SUFFIXES[str(m._type)]}
    process = {f.name + SUFFIXES[f.type][0] for f in metrics.REGISTRY.collect() if f.name.startswith("process_")}
    return names | process | {f.name for f in Figures(Cache(), dict).collect()}


def alerts() -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]:
        yield from group["rules"]


def queries(path: Path) -> list[str]:
    return [target["expr"] for panel in json.loads(path.read_text())["panels"] for target in panel["targets"]]


def test_the_page_lists_all_metrics_as_they_are() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    listed = [line for line in page.splitlines() if line.startswith("| `modelyard_")]
    assert listed == [*sorted([*rows(metrics), *gauges()]), *sorted(rows(server))]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_ask_for_what_exists(path: Path) -> None:
    names = {name for query in queries(path) for name in NAME.findall(query)}
    assert names and not names - exposed()


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_dashboards_can_be_imported_anywhere(path: Path) -> None:
    board = json.loads(path.read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}
    assert not _overlaps([panel["gridPos"] for panel in panels])


def _overlaps(places: list[dict[str, int]]) -> list[tuple[int, int]]:
    cells = [(x, y) for p in places for x in range(p["x"], p["x"] + p["w"]) for y in range(p["y"], p["y"] + p["h"])]
    return [cell for cell in set(cells) if cells.count(cell) > 1]


def test_alerts_ask_for_what_exists() -> None:
    names = {name for alert in alerts() for name in NAME.findall(alert["expr"])}
    assert names and not names - exposed()


def test_each_alert_has_its_runbook() -> None:
    page = (ROOT / "docs" / "runbooks.md").read_text()
    found = re.findall(r"^## (\w+)$", page, re.MULTILINE)
    assert sorted(found) == sorted(alert["alert"] for alert in alerts())
    for section in page.split("\n## ")[1:]:
        assert all(f"**{word}**" in section for word in ("Means", "Look", "Do"))


def test_each_alert_says_how_bad_it_is_and_where_to_read_on() -> None:
    for alert in alerts():
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert alert["annotations"]["runbook_url"] == f"RUNBOOKS#{alert['alert'].lower()}"
        assert alert["annotations"]["summary"] and alert["annotations"]["description"]


def test_every_alert_is_played() -> None:
    played = (ROOT / "tests" / "cluster" / "alerts.test.yaml").read_text()
    assert not [alert["alert"] for alert in alerts() if alert["alert"] not in played]
