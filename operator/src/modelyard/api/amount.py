"""Quantities of Kubernetes as numbers."""

from __future__ import annotations

import re


def amount(text: str) -> float:
    """Any quantity of Kubernetes as a number: 500m -> 0.5, 1Ki -> 1024, 2 -> 2; 0 for what is none."""
    found = re.fullmatch(r"([\d.]+)(m|[kMGTPE]i?|Ki)?", text)
    if found is None:
        return 0.0
    number, unit = float(found[1]), found[2] or ""
    if unit == "m":
        return number / 1000
    power = "KMGTPE".index(unit[0].upper()) + 1 if unit else 0
    return float(number * (1024 if unit.endswith("i") else 1000) ** power)
