"""A version's page: it shows what the report says, loads nothing, and no row can write markup into it."""

from __future__ import annotations

import json
import re
import xml.dom.minidom
from html.parser import HTMLParser
from typing import Any

import pytest

from modelyard.api import layout
from modelyard.api.run import ExitCode, TrainConfig
from modelyard_trainer.page import charts, facts
from tests.trainer.harness import BUCKET, TrainerHarness
from tests.trainer.words import json_lines, rows

TRAIN = {"epochs": 3, "learningRate": 1e-3, "batchSize": 32, "precision": "fp32"}
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def page(harness: TrainerHarness, config: TrainConfig) -> str:
    return harness.store.get(BUCKET, layout.page_key(config.prefix)).decode()


class Tags(HTMLParser):
    """Elements of a page, and whether each that must be closed is."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def trained(harness: TrainerHarness, base: dict[str, str]) -> TrainConfig:
    """Of rows with a class and texts that are markup, some of them with the wrong class."""
    made = rows(400)
    for number, row in enumerate(made):
        row["text"] = f"{row['text']} {HOSTILE}" if number % 3 == 0 else row["text"]
        row["label"] = "<b>odd</b>" if number % 7 == 0 else row["label"]
    uri = harness.put("raw/page.jsonl", json_lines(made))
    prepare = harness.prepare_config("page", {"s3": {"uri": uri}})
    assert harness.run(prepare)[0] == ExitCode.PUBLISHED
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(prepare.prefix)))["info"]
    pin = {"prefix": prepare.prefix, "digest": info["digest"]}
    config = harness.train_config("page", base, pin, train=TRAIN)
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    return config


def test_it_says_what_the_report_says(harness: TrainerHarness, trained: TrainConfig) -> None:
    text, report = page(harness, trained), harness.report(trained)
    [found] = report.metrics
    for value in (*found.values.values(), *report.baselines.values()):
        assert charts.number(value) in text
    for part in ("Per class", "Confusion", "Calibration", "Errors worth reading", "Curves", "Length of training rows"):
        assert f"<h2>{part}</h2>" in text
    assert text.count('class="line"') == 3, "loss, validation loss, validation macro f1"
    assert text.count('class="best"') == 2


def test_nothing_of_the_rows_is_markup_and_nothing_is_fetched(harness: TrainerHarness, trained: TrainConfig) -> None:
    text, tags = page(harness, trained), Tags()
    tags.feed(text)
    assert not tags.open
    names = {name for name, _ in tags.seen}
    assert not names & {"script", "link", "iframe", "b", "object", "form", "a"}
    assert "&lt;script&gt;alert(1)" in text and "&lt;b&gt;odd&lt;/b&gt;" in text
    for _, attributes in tags.seen:
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org)", re.sub(r"s3://", "", text))


@pytest.mark.parametrize("points", [[(0, 1.0), (10, 0.5)], [(1, 2.0), (2, 2.0)], [(0, -1.0), (5, 0.0), (9, 3e9)]])
def test_charts_are_well_formed_and_inside(points: list[tuple[float, float]]) -> None:
    made = [charts.curve("a <b>", points, best=points[-1][0]), charts.columns("c", [0, 3, 9], "1", "9")]
    made.append(charts.reliability("d", [(0.1, 0.0, 1), (0.95, 1.0, 800)]))
    for chart in made:
        root = xml.dom.minidom.parseString(str(chart)).documentElement
        assert root is not None
        for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', str(chart)):
            assert charts.LEFT <= float(x) <= charts.WIDTH and 0 <= float(y) <= charts.HEIGHT - charts.BELOW


def test_calibration_counts_each_row_once() -> None:
    answers: list[dict[str, Any]] = [{"label": "a", "score": score} for score in (0.05, 0.5, 0.55, 0.99, 1.0)]
    found = facts._calibration(answers, [{"label": "a"}] * 3 + [{"label": "b"}] * 2)
    assert [count for _, _, count in found["bins"]] == [1, 2, 2]
    assert found["gap"] == pytest.approx((0.95 * 1 + (1 - 0.525) * 2 + 0.995 * 2) / 5)


def test_no_model_is_lost_because_of_its_page(
    harness: TrainerHarness, base: dict[str, str], dataset: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Any) -> dict[str, Any]:
        raise KeyError("odd")

    monkeypatch.setattr(facts, "of_run", broken)
    config = harness.train_config("page-broken", base, dataset, train={**TRAIN, "epochs": 1})
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    with pytest.raises(AssertionError, match="odd"):
        harness.report(config)
