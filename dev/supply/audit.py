"""Known vulnerabilities of all that the bill of materials names, asked of the OSV database; the answer is dated.

Exit codes: 0 none is known, 1 some are, 3 the database cannot be reached, so nothing is known.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dev.supply import bom

DATABASE = "https://api.osv.dev/v1/querybatch"
CLEAN, FOUND, UNREACHABLE = 0, 1, 3
BATCH = 500
PAGE = bom.ROOT / "docs/audit.md"
Ask = Callable[[Sequence[str]], list[list[str]]]


class Unreachable(Exception):
    """The database gave no good answer."""


def run(uv: str, ask: Ask | None = None, page: Path = PAGE) -> int:
    """Make the bill of materials, ask, write the page."""
    parts = {path.name.removesuffix(".cdx.json"): bom.purls(path) for path in bom.write(uv)}
    try:
        known = look_up(sorted({purl for purls in parts.values() for purl in purls}), ask or osv)
    except Unreachable as fault:
        page.write_text(_page(parts, f"**Not checked: the database could not be reached** ({fault})."))
        print(f"NOT CHECKED: {DATABASE} could not be reached ({fault}); exit code {UNREACHABLE}")
        return UNREACHABLE
    page.write_text(_page(parts, "\n".join(_result(parts, known))))
    print(f"{len(known)} packages with known vulnerabilities; see {page}")
    return FOUND if known else CLEAN


def look_up(purls: Sequence[str], ask: Ask) -> dict[str, list[str]]:
    """Ids of known vulnerabilities of those packages that have some."""
    found: dict[str, list[str]] = {}
    for at in range(0, len(purls), BATCH):
        batch = purls[at : at + BATCH]
        found |= {purl: ids for purl, ids in zip(batch, ask(batch), strict=True) if ids}
    return found


def osv(purls: Sequence[str]) -> list[list[str]]:
    """One question for many packages; ids per package."""
    body = json.dumps({"queries": [{"package": {"purl": purl}} for purl in purls]}).encode()
    request = urllib.request.Request(DATABASE, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return ids_of(json.load(response), len(purls))
    except (urllib.error.URLError, TimeoutError, ValueError) as fault:
        raise Unreachable(str(fault)) from fault


def ids_of(answer: Mapping[str, Any], count: int) -> list[list[str]]:
    """Ids per package, in the order of the question; ValueError for an answer to something else."""
    results = answer.get("results", [])
    if len(results) != count:
        raise ValueError(f"{len(results)} answers to {count} questions")
    return [[vulnerability["id"] for vulnerability in result.get("vulns", [])] for result in results]


def _result(parts: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not known:
        yield "No vulnerability is known."
        return
    yield "| package | in | known vulnerabilities |\n|---|---|---|"
    for purl, ids in known.items():
        places = ", ".join(name for name, purls in parts.items() if purl in purls)
        yield f"| `{purl}` | {places} | {', '.join(ids)} |"


def _page(parts: Mapping[str, Sequence[str]], result: str) -> str:
    counts = "\n".join(f"| {name} | {len(purls)} |" for name, purls in parts.items())
    return (
        "# Audit\n\nWritten by `make audit`; the bills of materials (CycloneDX) lie in build/sbom/ after it.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, database {DATABASE}.\n\n{result}\n\n"
        f"| bill of materials | packages |\n|---|---|\n{counts}\n\n"
        "`test-tools` are the Go modules of the embedded cluster, which no image of ours contains.\n"
    )
