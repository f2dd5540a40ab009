"""Writes rows of Debian packages' descriptions and their tags, which people chose, from Debian's own index.

PYTHONPATH=. .venv/bin/python examples/09-tags/data.py rows.jsonl
"""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

FACETS = ("field", "interface", "use", "works-with")
LEFT_OUT = {"interface::x11"}
"""Of the same packages as interface::graphical."""
TAGS, ROWS, SEED = 30, 6000, 7


def tags_of(entry: dict[str, str]) -> set[str]:
    """Tags of a package that say what it is for."""
    found = re.split(r"[,\s]+", entry.get("Tag", ""))
    return {tag for tag in found if tag.split("::")[0] in FACETS and not tag.endswith("TODO")} - LEFT_OUT


def programs(packages: Iterable[dict[str, str]], english: Iterable[dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Programs that somebody has tagged, each once; some have none of the tags that are asked for here."""
    from examples.demo.debian import paragraphs, source_of

    texts = {(one["Package"], one["Description-md5"]): one.get("Description-en", "") for one in english}
    known = {one["Package"]: one for one in packages if "role::program" in one.get("Tag", "")}
    for name, one in sorted(known.items()):
        if text := texts.get((name, one["Description-md5"])):
            synopsis, rest = paragraphs(text)
            whole = f"{synopsis}. {' '.join(rest.split())}".strip()
            yield {"text": whole, "labels": sorted(tags_of(one)), "family": source_of(one)}


def sample(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some of the rows, drawn with a seed, with the commonest tags alone."""
    count = Counter(tag for row in rows for tag in row["labels"])
    usual = {tag for tag, _ in count.most_common(TAGS)}
    drawn = random.Random(SEED).sample(rows, min(ROWS, len(rows)))
    return [{**row, "labels": [tag for tag in row["labels"] if tag in usual]} for row in drawn]


def main() -> None:
    """Write the rows to the path that is given."""
    from examples.demo.debian import indexes

    packages, english = indexes("en")
    rows = sample(list(programs(packages, english)))
    Path(sys.argv[1]).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


if __name__ == "__main__":
    main()
