"""Play one scenario again, shrink it, or play many and print what they met."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.coverage import table
from tests.simulation.playing import play, play_all
from tests.simulation.shrink import shrink, told


def main() -> int:
    """Exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="the scenario of this seed; without it, many")
    parser.add_argument("--only", nargs="*", help="fault points that come true; no others do")
    parser.add_argument("--shrink", action="store_true", help="look for the shortest story that breaks the promise")
    parser.add_argument("--scenarios", type=int, default=1000, help="how many scenarios")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    if options.seed is None:
        return _many(options.first, options.scenarios)
    found = shrink(options.seed) if options.shrink else play(options.seed, lines=400, only=options.only)
    print(told(found) if found is not None else f"seed {options.seed} breaks no promise")
    return 1 if found is not None and found.broken else 0


def _many(first: int, count: int) -> int:
    began = time.monotonic()
    scenarios = play_all(range(first, first + count))
    broken = [played for played in scenarios if played.broken]
    print(table(scenarios))
    print(f"{count} scenarios in {time.monotonic() - began:.0f} s, {len(broken)} broke a promise")
    for played in broken:
        print(f"seed {played.seed} ({played.kind}): {played.broken[0][:300]}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
