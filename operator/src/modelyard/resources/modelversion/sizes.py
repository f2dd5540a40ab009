"""Numbers as people read them."""

from __future__ import annotations

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def humanised(size: int) -> str:
    """Bytes in decimal units with two or three digits: 91 MB, 1.2 GB."""
    value, unit = float(size), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = f"{value:.1f}" if unit > 0 and value < 9.95 else f"{value:.0f}"
    return f"{digits} {UNITS[unit]}"
