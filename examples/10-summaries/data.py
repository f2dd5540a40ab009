"""Writes rows of Debian packages' descriptions and their one-line summaries, from Debian's own index.

PYTHONPATH=. .venv/bin/python examples/10-summaries/data.py rows.jsonl
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROWS, SEED = 6000, 7
LEAST = 20
"""Words of a description that is worth a summary."""


def described(packages: Iterable[dict[str, str]], english: Iterable[dict[str, str]]) -> Iterator[dict[str, str]]:
    """First paragraph and synopsis of each package, with the source that it is built from."""
    from examples.demo.debian import paragraphs, source_of

    family = {one["Package"]: source_of(one) for one in packages}
    texts = {one["Package"]: one.get("Description-en", "") for one in english}
    for name, text in sorted(texts.items()):
        synopsis, rest = paragraphs(text)
        first = rest.partition("\n")[0]
        if synopsis and name in family and len(first.split()) >= LEAST:
            yield {"text": first, "summary": synopsis, "family": family[name]}


def main() -> None:
    """Write a sample, drawn with a seed, to the path that is given."""
    from examples.demo.debian import indexes

    rows = list(described(*indexes("en")))
    drawn = random.Random(SEED).sample(rows, min(ROWS, len(rows)))
    Path(sys.argv[1]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in drawn))


if __name__ == "__main__":
    main()
