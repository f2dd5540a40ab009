"""Preparing a Dataset in the trainer image: rows per second, peak memory, and that 10 million rows fit into 2 GiB."""

from __future__ import annotations

import json
import uuid
from typing import Any

from dev.bench.figure import Figure, Row
from examples.demo.cluster import embedded_cluster
from examples.demo.shell import cache_folder
from tests import in_image

MEMORY = "2Gi"
SIZES = {False: (10_000, 10_000_000), True: (10_000, 300_000)}
"""Rows, by whether numbers are to be small."""


async def measure(quick: bool) -> Figure:
    """Each size in a pod of its own, which is killed if it needs more."""
    embedded_cluster()
    rows = []
    for size in SIZES[quick]:
        found = _prepared(size)
        name = f"{size:,} rows ({found['source_mib']:.0f} MiB)"
        rows += [
            Row(name, found["rows_per_second"], "rows/s"),
            Row(f"{name}: seconds", found["seconds"], "s"),
            Row(f"{name}: peak memory", found["peak_mib"], "MiB", 1024),
        ]
    counts = ", ".join(f"{count:,} {reason}" for reason, count in found["removed"].items() if count)
    removed = f"Removed of {found['rows']:,} rows: {counts}."
    notes = [f"JSON lines on disk to shards on disk; pods of {MEMORY}, one process. {removed}"]
    return Figure("preparation", "Preparing rows: clean, dedupe, split", rows, notes)


def _prepared(size: int) -> dict[str, Any]:
    out = cache_folder() / f"prepare-rows-{uuid.uuid4().hex[:6]}.json"
    try:
        words = ("dev.bench.prepare_rows", "--rows", str(size), "--out", str(out))
        if in_image.run_module("trainer", *words, memory=MEMORY):
            raise SystemExit(f"preparing {size} rows failed in a pod of {MEMORY}")
        return dict(json.loads(out.read_text()))
    finally:
        out.unlink(missing_ok=True)
