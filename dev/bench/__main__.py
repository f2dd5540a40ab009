"""Run the figures: python -m dev.bench [--only NAME] [--quick]."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from dev.bench import (
    burst,
    crash,
    create_to_job,
    machine,
    namespace,
    outage,
    preparation,
    report,
    rest,
    soak,
    training,
    transfer,
    writes,
)
from dev.bench.figure import Figure

FIGURES: dict[str, Callable[[bool], Awaitable[Figure]]] = {
    "create-to-job": create_to_job.measure,
    "burst": burst.measure,
    "writes": writes.measure,
    "rest": rest.measure,
    "transfer": transfer.measure,
    "crash": crash.measure,
    "namespace": namespace.measure,
    "outage": outage.measure,
    "soak": soak.measure,
    "preparation": preparation.measure,
    "training": training.measure,
}


def main() -> int:
    """Measure, print and write; 1 if a target was not reached."""
    options = _parser().parse_args()
    described = machine.describe()
    figures = []
    for name in options.only or FIGURES:
        figure = asyncio.run(_measure(name, options.quick))
        print(report.told(figure), flush=True)
        figures.append(figure)
        _write(figure, described, options)
    return int(any(row.reached is False for figure in figures for row in figure.rows))


def _write(figure: Figure, described: dict[str, str], options: argparse.Namespace) -> None:
    """At once, so that a later figure that breaks costs nothing."""
    if options.output:
        report.write([figure], described, options.output)
    elif not options.quick:
        report.write([figure], described)


async def _measure(name: str, quick: bool) -> Figure:
    return await FIGURES[name](quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(FIGURES), help="one figure; may be repeated")
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works; writes nothing")
    parser.add_argument("--output", type=Path, help="folder for the files, instead of docs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
