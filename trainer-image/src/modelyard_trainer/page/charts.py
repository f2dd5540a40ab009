"""Small charts as SVG: lines over steps, columns, and stated scores against what came true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH, HEIGHT, LEFT, BELOW = 460, 190, 48, 22
"""Of a chart, and of the room for its numbers, in pixels."""


def number(value: float | None) -> str:
    """A number as people read it."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value == 0 or 0.001 <= abs(value) < 1000 else f"{value:.4g}"


def curve(name: str, points: Sequence[tuple[float, float]], best: float | None = None) -> Markup:
    """A line through (step, value); `best` is a step that is marked."""
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, high, last = min(values), max(values), max(steps) or 1
    span = (high - low) or abs(high) or 1.0
    places = [(_x(step / last), _y((value - low) / span)) for step, value in points]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    shapes = [f'<polyline class="line" points="{line}"/>']
    shapes += [f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in places if len(places) < 40]
    shapes += [
        f'<circle class="best" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
        for (x, y), step in zip(places, steps, strict=True)
        if step == best
    ]
    shapes += _scale(number(high), number(low), "0", f"{last:g} steps")
    return _svg(name, shapes)


def columns(name: str, counts: Sequence[int], first: str, last: str) -> Markup:
    """A column per count, from left to right."""
    most, width = max(counts) or 1, (WIDTH - LEFT) / len(counts)
    shapes = []
    for place, count in enumerate(counts):
        top = _y(count / most)
        box = f'x="{LEFT + place * width + 1:.1f}" y="{top:.1f}" width="{width - 2:.1f}"'
        shapes.append(f'<rect class="column" {box} height="{HEIGHT - BELOW - top:.1f}"><title>{count}</title></rect>')
    return _svg(name, [*shapes, *_scale(str(most), "0", first, last)])


def reliability(name: str, bins: Sequence[tuple[float, float, int]]) -> Markup:
    """A dot per group of rows: mean score to the right, share that is right upwards; on the line both are equal."""
    most = max(count for _, _, count in bins)
    shapes = [f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>']
    for score, right, count in bins:
        told = f"<title>{count} rows: score {score:.2f}, right {right:.2f}</title>"
        size = 3 + 9 * (count / most) ** 0.5
        place = f'cx="{_x(score):.1f}" cy="{_y(right):.1f}"'
        shapes.append(f'<circle class="group" {place} r="{size:.1f}">{told}</circle>')
    return _svg(name, [*shapes, *_scale("1", "0", "score 0", "score 1")])


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - 8)


def _y(share: float) -> float:
    return 8 + (1 - share) * (HEIGHT - BELOW - 8)


def _scale(high: str, low: str, first: str, last: str) -> list[str]:
    return [
        f'<line class="axis" x1="{LEFT}" y1="{HEIGHT - BELOW}" x2="{WIDTH}" y2="{HEIGHT - BELOW}"/>',
        f'<text x="{LEFT - 5}" y="15" text-anchor="end">{high}</text>',
        f'<text x="{LEFT - 5}" y="{HEIGHT - BELOW}" text-anchor="end">{low}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{first}</text>',
        f'<text x="{WIDTH - 4}" y="{HEIGHT - 6}" text-anchor="end">{last}</text>',
    ]


def _svg(name: str, shapes: Sequence[str]) -> Markup:
    from markupsafe import Markup, escape

    head = f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(name)}">'
    return Markup(f"<figure><figcaption>{escape(name)}</figcaption>{head}{''.join(shapes)}</svg></figure>")
