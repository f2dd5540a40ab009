"""Quantities as the API server writes them back, so that a wanted manifest equals the live one."""

from __future__ import annotations

import math
import re

from modelyard.api.amount import amount

BINARY = ("Ki", "Mi", "Gi", "Ti")
DECIMAL = ("k", "M", "G", "T")


def cpu(cores: float) -> str:
    """Cores: 2 -> "2", 0.5 -> "500m"; finer than a thousandth is rounded up."""
    milli = max(1, math.ceil(round(cores * 1000, 6)))
    return f"{milli}m" if milli % 1000 else str(milli // 1000)


def memory(text: str) -> str:
    """Memory in the largest unit that leaves a whole number: 2048Mi -> 2Gi, 1500M stays."""
    found = re.fullmatch(r"(\d+)([A-Za-z]+)", text)
    if found is None:
        return text
    amount, unit = int(found[1]), found[2]
    units, step = (BINARY, 1024) if unit in BINARY else (DECIMAL, 1000)
    if unit not in units:
        return text
    index = units.index(unit)
    while amount % step == 0 and index < len(units) - 1:
        amount, index = amount // step, index + 1
    return f"{amount}{units[index]}"


def in_bytes(text: str) -> int:
    """Memory in bytes: 1Ki -> 1024, 1k -> 1000."""
    if re.fullmatch(rf"\d+({'|'.join(BINARY + DECIMAL)})", text) is None:
        raise ValueError(f"not an amount of memory: {text!r}")
    return int(amount(text))
