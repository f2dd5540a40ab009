"""What a version's page shows, from what a run left."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from modelyard.api.tasks import TASKS
from modelyard_trainer.data.rows import SPLITS
from modelyard_trainer.tasks import rows_of
from modelyard_trainer.tasks.protocols import Answer, Fields

if TYPE_CHECKING:
    from modelyard_trainer.run import TrainRun

MOST_CLASSES, MOST_CONFUSIONS, MOST_ROWS, MOST_LETTERS = 100, 15, 20, 600
"""Of each list, and of a text, on the page."""
FIGURES = (
    "parameters", "trainable_parameters", "steps", "learning_rate", "precision", "device", "tokens_per_second"
)  # fmt: skip
"""Of the run's figures, those on the page."""
MATRIX = 15
"""Classes up to which each is shown against each."""
BINS = 10
THUMBNAIL = 112
"""Pixels of a picture's longer side."""


def of_run(run: TrainRun) -> dict[str, Any]:
    """All that the template asks for; parts that the task does not have are empty."""
    config, task, metrics = run.config, TASKS[run.config.task], run.metrics[0]
    rows, answers = run.rows["test"], run.answers
    wrong = _wrong(answers, rows)
    return {
        "model": config.model,
        "run": config.run,
        "task": task,
        "method": config.method.kind,
        "start": _start(run),
        "rows": {split: len(run.rows[split]) for split in SPLITS},
        "primary": task.metric(metrics.primary),
        "value": metrics.values[metrics.primary],
        "bars": _bars(metrics.values[metrics.primary], run.baselines),
        "values": [(task.metric(name), value) for name, value in metrics.values.items()],
        "figures": _figures(run),
        "curves": _curves(run),
        "best": run.figures.get("best_step"),
        "columns": task.named(per_class=True),
        "classes": sorted(metrics.per_class.items(), key=lambda one: -one[1].get("support", 0))[:MOST_CLASSES],
        "more_classes": max(0, len(metrics.per_class) - MOST_CLASSES),
        "matrix": _matrix(answers, rows, run.codec.labels) if wrong is not None else None,
        "confusions": _confusions(answers, rows) if wrong is not None else [],
        "calibration": _calibration(answers, rows) if wrong is not None else None,
        "wrong": len(wrong) if wrong is not None else None,
        "shown": _shown(run, wrong if wrong is not None else range(min(MOST_ROWS, len(rows)))),
        "lengths": _lengths(run),
    }


def _start(run: TrainRun) -> str:
    base = run.config.base
    if base is None:
        return f"random weights of {run.config.scratch}"
    return base.version.name if base.version else base.uri


def _bars(value: float, baselines: dict[str, float]) -> list[tuple[str, float, float]]:
    """Name, value and share of the longest bar, the model first."""
    found = {"this model": value, **baselines}
    most = max(*map(abs, found.values()), 1e-9)
    return [(name.replace("_", " "), one, abs(one) / most) for name, one in found.items()]


def _figures(run: TrainRun) -> list[tuple[str, str]]:
    found = [(name.replace("_", " "), run.figures.get(name)) for name in FIGURES]
    return [
        (name, f"{value:,}" if isinstance(value, int) else str(value)) for name, value in found if value is not None
    ]


def _curves(run: TrainRun) -> list[tuple[str, list[tuple[float, float]]]]:
    """Name and points of each line that has two at least."""
    path = run.folder("history") / "history.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    names = ("loss", "validation_loss", f"validation_{TASKS[run.config.task].primary}")
    found = [(name, [(line["step"], line[name]) for line in lines if name in line]) for name in names]
    return [(name.replace("_", " "), points) for name, points in found if len(points) > 1]


def _wrong(answers: list[Answer], rows: Any) -> list[int] | None:
    """Numbers of the rows whose one class is wrong, the surest answers first; None where rows have no one class."""
    if not answers or "label" not in answers[0] or "label" not in rows[0]:
        return None
    found = [number for number, answer in enumerate(answers) if answer["label"] != rows[number]["label"]]
    return sorted(found, key=lambda number: -answers[number]["score"])


def _pairs(answers: list[Answer], rows: Any) -> Counter[tuple[str, str]]:
    """Rows by right class and answered one."""
    return Counter((row["label"], answer["label"]) for row, answer in zip(rows, answers, strict=True))


def _confusions(answers: list[Answer], rows: Any) -> list[tuple[str, str, int]]:
    pairs = _pairs(answers, rows).most_common()
    return [(right, said, count) for (right, said), count in pairs if right != said][:MOST_CONFUSIONS]


def _matrix(answers: list[Answer], rows: Any, labels: list[str]) -> dict[str, Any] | None:
    """Rows of each right class by answer, with the share of the class that shades a cell; None for many classes."""
    pairs = _pairs(answers, rows)
    names = sorted({*labels, *(right for right, _ in pairs)})
    if len(names) > MATRIX:
        return None
    totals = {name: sum(pairs[name, said] for said in names) or 1 for name in names}
    cells = {right: [(pairs[right, said], pairs[right, said] / totals[right]) for said in names] for right in names}
    return {"names": names, "rows": cells}


def _calibration(answers: list[Answer], rows: Any) -> dict[str, Any]:
    """Groups of rows by score (mean score, share that is right, rows), and the mean gap between both (ECE)."""
    scores = np.array([answer["score"] for answer in answers])
    right = np.array([answer["label"] == row["label"] for answer, row in zip(answers, rows, strict=True)])
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [
        (float(scores[here].mean()), float(right[here].mean()), int(here.sum()))
        for here in (places == place for place in range(BINS))
        if here.any()
    ]
    gap = sum(abs(score - share) * count for score, share, count in bins) / max(1, len(answers))
    return {"bins": bins, "gap": gap}


def _shown(run: TrainRun, numbers: Any) -> list[dict[str, Any]]:
    """Rows with what was asked, what is right and what was answered."""
    kind, rows = rows_of(run.config.task), run.rows["test"]
    chosen = [(rows[number], run.answers[number]) for number in list(numbers)[:MOST_ROWS]]
    return [_row(kind.instance(row), row, answer) for row, answer in chosen]


def _row(asked: dict[str, Any], row: Fields, answer: Answer) -> dict[str, Any]:
    pictures = [_thumbnail(value) for value in row.values() if isinstance(value, bytes)]
    told = {name: value for name, value in asked.items() if not isinstance(row.get(name), bytes)}
    right = {name: value for name, value in row.items() if name not in asked}
    said = {name: value for name, value in answer.items() if name not in ("scores", "score")}
    score = answer.get("score")
    return {
        "pictures": [found for found in pictures if found],
        "asked": _short(told),
        "right": _short(right),
        "answered": _short(said),
        "score": score if isinstance(score, float) else None,
    }


def _short(values: dict[str, Any]) -> str:
    """The values alone, of bounded length; names stand before them where there are several."""
    texts = {name: one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for name, one in values.items()}
    text = "\n".join(one if len(texts) == 1 else f"{name}: {one}" for name, one in texts.items())
    return text if len(text) <= MOST_LETTERS else text[: MOST_LETTERS - 1] + "…"


def _thumbnail(data: bytes) -> str:
    """A data address of the picture, small; empty for one that cannot be read."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.thumbnail((THUMBNAIL, THUMBNAIL))
            out = io.BytesIO()
            picture.convert("RGB").save(out, "PNG")
    except (OSError, ValueError, Image.DecompressionBombError):
        return ""
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _lengths(run: TrainRun) -> dict[str, Any] | None:
    """How long training rows are as the model reads them, in tokens; None where all have one size."""
    if run.codec.one_size is not None:
        return None
    sizes = np.asarray(run.read["train"].sizes)
    counts, edges = np.histogram(sizes, bins=min(24, max(1, int(np.ptp(sizes)))))
    cut = run.figures.get("truncated", {}).get("train", {})
    return {
        "counts": counts.tolist(),
        "first": f"{edges[0]:.0f}",
        "last": f"{edges[-1]:.0f} tokens",
        "median": float(np.median(sizes)),
        "cut": cut.get("rows", 0),
        "share": cut.get("share", 0.0),
    }
