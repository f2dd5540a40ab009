"""Counts of mutating requests, as the API server itself counts them."""

from __future__ import annotations

import re
from collections import Counter

import aiohttp

LINE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
OURS = {"", "batch", "apps", "coordination.k8s.io", "modelyard.dev"}


async def writes(session: aiohttp.ClientSession, host: str) -> Counter[str]:
    """`VERB resource[/subresource]` -> requests since the API server started."""
    async with session.get(f"{host}/metrics") as answer:
        answer.raise_for_status()
        text = await answer.text()
    counts: Counter[str] = Counter()
    for line in LINE.finditer(text):
        labels = dict(LABEL.findall(line["labels"]))
        if labels["verb"] not in WRITES or labels["group"] not in OURS:
            continue
        tail = f"/{labels['subresource']}" if labels["subresource"] else ""
        counts[f"{labels['verb']} {labels['resource']}{tail}"] += int(float(line["value"]))
    return counts


def besides(counts: Counter[str], *resources: str) -> Counter[str]:
    """Without the requests for some resources, and without what was not asked at all."""
    kept = {name: n for name, n in counts.items() if n and name.split()[1].split("/")[0] not in resources}
    return Counter(kept)
