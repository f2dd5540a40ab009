"""Writes docs/bench.json and docs/bench.md; a figure that was not run keeps its last numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.bench.figure import Figure, Row

DOCS = Path(__file__).parents[2] / "docs"
INTRODUCTION = """# Figures

Made by `make bench`; the same numbers for programs are in bench.json. Each table names its own day, for a figure that
was not run again keeps its last numbers. Rows that begin with "machine" or "peer" are what the same run measured as
the limit.
"""


def write(figures: list[Figure], machine: Mapping[str, str], folder: Path = DOCS) -> None:
    """Merge into what stands there and write both files."""
    target = folder / "bench.json"
    known: dict[str, Any] = json.loads(target.read_text()) if target.exists() else {}
    for figure in figures:
        known[figure.name] = _dump(figure, machine)
    folder.mkdir(exist_ok=True)
    target.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
    tables = [_table(known[name]) for name in sorted(known)]
    (folder / "bench.md").write_text("\n".join([INTRODUCTION, *tables]))


def _dump(figure: Figure, machine: Mapping[str, str]) -> dict[str, Any]:
    rows = [{**asdict(row), "value": round(row.value, 3), "reached": row.reached} for row in figure.rows]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"title": figure.title, "rows": rows, "notes": list(figure.notes), "when": when, "machine": dict(machine)}


def _table(figure: dict[str, Any]) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in figure["machine"].items())
    lines = [f"## {figure['title']}", "", "| what | value | target |", "|---|---:|---|"]
    lines += [_line(row) for row in figure["rows"]]
    notes = [f"- {note}" for note in figure["notes"]]
    return "\n".join([*lines, "", *notes, f"- {figure['when']}; {machine}.", ""])


def _line(row: dict[str, Any]) -> str:
    target = "" if row["target"] is None else f"{row['sense']} {row['target']:g}"
    if target:
        target += ": reached" if row["reached"] else ": **not reached**"
    return f"| {row['what']} | {shown(row['value'])} {row['unit']} | {target} |"


def shown(value: float) -> str:
    """Three significant digits, integers whole."""
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def told(figure: Figure) -> str:
    """The figure for a terminal."""
    return "\n".join([f"\n{figure.title}", *(f"  {_plain(row)}" for row in figure.rows)])


def _plain(row: Row) -> str:
    target = "" if row.target is None else f"   ({row.sense} {row.target:g})"
    mark = "  NOT REACHED" if row.reached is False else ""
    return f"{shown(row.value):>8} {row.unit:<10} {row.what}{target}{mark}"
