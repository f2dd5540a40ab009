"""Rows per second and peak memory of a Dataset's preparation, from files on disk to shards on disk.

Run inside the trainer image: python -m dev.bench.prepare_rows --rows 10000000 --out FILE.json
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.api.run import PrepareConfig
from modelyard.storage.store import Store
from modelyard_trainer.progress import Progress
from modelyard_trainer.run import PrepareRun
from modelyard_trainer.stages import prepare

CLASSES = ("billing", "delivery", "returns", "account", "other")
FRAGMENTS = 20_000
AGAIN, OTHERWISE = 0.05, 0.01
"""Shares of rows that repeat an earlier text: with its class, and with another one."""


def main() -> int:
    """Generate, prepare and write figures."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench.prepare_rows", description=__doc__)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--work", type=Path, help="folder for source and scratch (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.work) as folder:
        found = measure(Path(folder), options.rows)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Figures of preparing generated rows; the pod's work folder is below `folder`."""
    source = folder / "rows.jsonl"
    write_rows(source, count)
    run = _run(folder, source)
    began, cpu = time.perf_counter(), time.process_time()
    prepare.execute(run)
    seconds = time.perf_counter() - began
    info = run.publication.info if run.publication else {}
    return {
        "rows": count,
        "source_mib": round(source.stat().st_size / 2**20, 1),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "rows_per_second": round(count / seconds),
        "peak_mib": peak_mib(),
        "shards_mib": round(sum(path.stat().st_size for path in (folder / "prepared").iterdir()) / 2**20, 1),
        **{name: info.get(name) for name in ("digest", "removed")},
        "kept": info.get("rows"),
    }


def write_rows(path: Path, count: int, seed: int = 7) -> None:
    """The same rows for the same seed: about 150 bytes each, some of them again, a few with another class."""
    with path.open("w", encoding="utf-8") as stream:
        for text, label in _rows(count, random.Random(seed)):
            stream.write(f'{{"text": "{text}", "label": "{label}"}}\n')


def _rows(count: int, chance: random.Random) -> Iterator[tuple[str, str]]:
    letters = "eeeeaaaoooiiutttnnnsssrrrhhlldcmpgbvyfw"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(30_000)]
    pieces = [" ".join(chance.choices(words, k=chance.randint(2, 7))) for _ in range(FRAGMENTS)]
    earlier: list[tuple[str, str]] = []
    for number in range(count):
        drawn = chance.random()
        if earlier and drawn < AGAIN + OTHERWISE:
            text, label = chance.choice(earlier)
            yield (text.upper(), label) if drawn < AGAIN else (text, chance.choice(CLASSES))
            continue
        text, label = " ".join(chance.choices(pieces, k=chance.randint(1, 8))), chance.choice(CLASSES)
        if len(earlier) < FRAGMENTS:
            earlier.append((text, label))
        elif number % 16 == 0:
            earlier[chance.randrange(FRAGMENTS)] = text, label
        yield text, label


def peak_mib() -> int:
    """Most memory that this process has had so far."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) // 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _run(folder: Path, source: Path) -> PrepareRun:
    """A run as the stages see it, its source fetched, no store behind it."""
    config = PrepareConfig.model_validate(
        {
            "name": "rows",
            "prefix": "rows/",
            "store": {"endpoint": "http://127.0.0.1:9", "bucket": "none"},
            "task": "text-classification",
            "source": {"s3": {"uri": f"s3://none/{source.name}"}},
            "steps": [{"clean": {}}, {"dedupe": {}}, {"split": {}}],
        }
    )
    nowhere, progress = Store.connect("http://127.0.0.1:9", "none", "none"), Progress(lambda body: None)
    run = PrepareRun(config=config, store=nowhere, quick=nowhere, work=folder, progress=progress)
    run.files = {source.name: source}
    return run


if __name__ == "__main__":
    sys.exit(main())
