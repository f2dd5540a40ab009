"""The examples with pictures as they are written, on few and simple rows and with fewer steps."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from modelyard.api import layout
from modelyard.api.finetunejob import FineTuneJobSpec
from modelyard.api.run import ExitCode
from tests.trainer.harness import BUCKET, TrainerHarness

EXAMPLES = Path(__file__).parents[2] / "examples"


def module(folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("data", EXAMPLES / folder / "data.py")
    assert spec
    assert spec.loader
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def numerals(count: int) -> np.ndarray:
    """Bars in place of hand-written digits: which one it is says how far to the left it stands."""
    found: np.ndarray = np.zeros((count, 785), dtype=int)
    chance = np.random.default_rng(1)
    for number, row in enumerate(found):
        label = number % 3
        grey: np.ndarray = np.zeros((28, 28), dtype=int)
        top = int(chance.integers(2, 8))
        grey[top : top + 18, 4 + 7 * label : 8 + 7 * label + 2 * label] = chance.integers(180, 256)
        grey[top : top + 4, 4:24] = 200
        row[:-1], row[-1] = grey.reshape(-1), label
    return found


def digits(count: int) -> list[dict[str, Any]]:
    lines = [",".join(map(str, row)) for row in numerals(count).tolist()]
    return list(module("05-digits").rows(lines))


def on_photos(count: int) -> list[dict[str, Any]]:
    chance = np.random.default_rng(2)
    scenes = [Image.fromarray(chance.integers(60, 90, (120, 120, 3)).astype(np.uint8)) for _ in range(20)]
    return list(module("06-digits-on-photos").rows(numerals(60), scenes, count))


@pytest.mark.parametrize(("folder", "rows"), [("05-digits", digits(240)), ("06-digits-on-photos", on_photos(240))])
def test_the_example_runs(harness: TrainerHarness, folder: str, rows: list[dict[str, Any]]) -> None:
    dataset, job = (
        yaml.safe_load((EXAMPLES / folder / f"{name}.yaml").read_text())["spec"] for name in ("dataset", "finetunejob")
    )
    uri = harness.put(f"raw/{folder}.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    source = {**dataset["source"], "s3": {"uri": uri}}
    prepared = harness.prepare_config(folder, source, task=dataset["task"], steps=dataset["prepare"])
    code, outcome = harness.run(prepared)
    assert code == ExitCode.PUBLISHED, outcome.message
    info = json.loads(harness.store.get(BUCKET, layout.manifest_key(prepared.prefix)))["info"]
    assert sum(info["rows"].values()) > 200
    spec = FineTuneJobSpec.model_validate({**job, "model": {"name": "x"}})
    assert spec.from_.scratch
    config = harness.train_config(
        folder,
        None,
        {"prefix": prepared.prefix, "digest": info["digest"]},
        task=spec.task,
        scratch=spec.from_.start,
        input={},
        train={"epochs": 2, "precision": "fp32"},
        export=spec.export,
    )
    code, outcome = harness.run(config)
    assert code == ExitCode.PUBLISHED, outcome.message
    (metrics,) = harness.report(config).metrics
    assert {require.metric for require in spec.evaluate.gate.require} <= metrics.values.keys()


def test_no_photo_and_no_digit_is_in_two_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a photo carry its name, by which the Dataset splits; each photo has digits of its own."""
    known = numerals(60)
    known[:, 0] = np.arange(60)  # each digit can be told from all others
    seen: dict[str, set[int]] = {}
    example = module("06-digits-on-photos")
    paste = vars(example)["_paste"]

    def noting(canvas: np.ndarray, digit: np.ndarray, objects: list[Any], chance: np.random.Generator) -> None:
        used.append(int(digit[0]))
        paste(canvas, digit, objects, chance)

    monkeypatch.setattr(example, "_paste", noting)
    scenes = [Image.new("RGB", (100, 100), (60, 60, 60))] * 20
    used: list[int] = []
    for row in example.rows(known, scenes, 200):
        seen.setdefault(row["photo"], set()).update(used)
        used.clear()
    assert len(seen) == 20
    assert sum(map(len, seen.values())) == len(set().union(*seen.values()))
