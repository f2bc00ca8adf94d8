"""Plots as SVG text: lines over seconds, and histograms. Colours are classes, set by the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 860, 260
LEFT, RIGHT, TOP, BOTTOM = 70, 34, 12, 34
TICKS = 5
GRAINS = 8
"""Bars of a histogram for each doubling."""
POWERS = (1, 2, 5)

Points = Sequence[tuple[float, float]]
Label = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to places along an axis; logarithmic ones take positive values alone."""

    least: float
    greatest: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies."""
        low, high, at = self.least, self.greatest, min(max(value, self.least), self.greatest)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        share = (at - low) / (high - low) if high > low else 0.0
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values within."""
        return _powers(self.least, self.greatest) if self.log else _steps(self)


def lines(series: Mapping[str, Points], *, y_label: Label, what: str, log: bool = False) -> str:
    """Return a plot of lines over seconds; what lies before 0 is shaded as warm-up."""
    xs = [x for points in series.values() for x, _ in points] or [0.0]
    ys = [y for points in series.values() for _, y in points if y > 0 or not log] or [1.0]
    across = Scale(min(xs), max(*xs, min(xs) + 1), LEFT, WIDTH - RIGHT)
    least = min(ys) / 1.2 if log else 0.0
    up = Scale(least, max(ys) * (1.3 if log else 1.08) or 1.0, HEIGHT - BOTTOM, TOP, log)
    parts = [*_warmup(across), *_axes(across, up, lambda x: f"{x:g} s", y_label)]
    for number, (name, points) in enumerate(series.items()):
        parts.append(_line(number, name, [(x, y) for x, y in points], across, up))
    return _legend(series) + _svg(what, parts)


def histogram(buckets: Sequence[Sequence[int]], *, x_label: Label, what: str, tone: int = 0) -> str:
    """Return a histogram of `[least, greatest, count]` over a logarithmic axis."""
    counts: dict[int, int] = {}
    for least, greatest, count in buckets:
        grain = math.floor(math.log2(max((least + greatest) / 2, 1)) * GRAINS)
        counts[grain] = counts.get(grain, 0) + count
    if not counts:
        return '<p class="none">Nothing was measured.</p>'
    total = sum(counts.values())
    first, last = min(counts), max(counts)
    across = Scale(2 ** (first / GRAINS), 2 ** ((last + 1) / GRAINS), LEFT, WIDTH - RIGHT, log=True)
    most = max(counts.values()) / total
    up = Scale(0.0, most * 1.08, HEIGHT - BOTTOM, TOP)
    parts = [*_axes(across, up, x_label, lambda share: f"{share:.0%}")]
    parts += [
        _bar(grain, count, total, across, up, x_label, tone)
        for grain, count in sorted(counts.items())
    ]
    return _svg(what, parts)


def _bar(  # noqa: PLR0913, PLR0917  what a bar is drawn of
    grain: int, count: int, total: int, across: Scale, up: Scale, label: Label, tone: int
) -> str:
    low, high = 2 ** (grain / GRAINS), 2 ** ((grain + 1) / GRAINS)
    left, right, top = across.place(low), across.place(high), up.place(count / total)
    words = f"{label(low)} to {label(high)}: {count:,} ({count / total:.1%})"
    return (
        f'<rect class="bar c{tone}" x="{left:.1f}" y="{top:.1f}"'
        f' width="{max(right - left - 1, 1):.1f}" height="{max(up.start - top, 1):.1f}">'
        f"<title>{escape(words)}</title></rect>"
    )


def _line(number: int, name: str, points: Points, across: Scale, up: Scale) -> str:
    places = [f"{across.place(x):.1f},{up.place(y):.1f}" for x, y in points if y > 0 or not up.log]
    if len(places) == 1:
        x, y = places[0].split(",")
        return f'<circle class="dot c{number}" cx="{x}" cy="{y}" r="3"/>'
    title = f"<title>{escape(name)}</title>"
    return f'<polyline class="line c{number}" points="{" ".join(places)}">{title}</polyline>'


def _warmup(across: Scale) -> Iterator[str]:
    if across.least < 0:
        end = across.place(0)
        yield (
            f'<rect class="warmup" x="{LEFT}" y="{TOP}" width="{end - LEFT:.1f}"'
            f' height="{HEIGHT - BOTTOM - TOP}"/>'
            f'<text class="hint" x="{LEFT + 6}" y="{TOP + 14}">warm-up</text>'
        )


def _axes(across: Scale, up: Scale, x_label: Label, y_label: Label) -> Iterator[str]:
    for value in up.ticks():
        y = up.place(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        text = escape(y_label(value))
        yield f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
    for value in across.ticks():
        x, text = across.place(value), escape(x_label(value))
        yield (
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}"'
            f' text-anchor="middle">{text}</text>'
        )
    base = HEIGHT - BOTTOM
    yield f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>'


def _svg(what: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(what)}">'
    return "\n".join([head, *parts, "</svg>"])


def _legend(series: Mapping[str, Points]) -> str:
    entries = (
        f'<span><i class="c{number}"></i>{escape(name)}</span>'
        for number, name in enumerate(series)
    )
    return f'<div class="legend">{"".join(entries)}</div>\n'


def _steps(scale: Scale) -> list[float]:
    span = scale.greatest - scale.least
    if span <= 0:
        return [scale.least]
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(each * power for each in (*POWERS, 10) if span / (each * power) <= TICKS)
    first = math.ceil(scale.least / step)
    return [round(n * step, 12) for n in range(first, math.floor(scale.greatest / step) + 1)]


def _powers(least: float, greatest: float) -> list[float]:
    first, last = math.floor(math.log10(least)), math.ceil(math.log10(greatest))
    found = [
        times * 10.0**power
        for power in range(first, last + 1)
        for times in POWERS
        if least <= times * 10.0**power <= greatest
    ]
    return found[:: max(1, -(-len(found) // 9))]
