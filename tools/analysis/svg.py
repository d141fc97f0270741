"""Line charts and trees as inline SVG: no script, no network, coloured by the page's own style sheet.

A mark tells itself when it is pointed at (``<title>``), and every chart has a name and a description for those
who do not see it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

HEIGHT = 260
WIDE, NARROW = 860, 440
"""Widths of a chart across the page, and of one of two side by side: type is the same size in both."""
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 14, 40

Point = tuple[float, float]
Words = Callable[[float], str]


@dataclass(frozen=True)
class Line:
    """Joined points. ``kind`` is a class of the style sheet."""

    points: Sequence[Point]
    kind: str
    says: str = ""
    steps: bool = False
    """Level until the next point: for a best-so-far."""


@dataclass(frozen=True)
class Mark:
    """One point that can be pointed at; ``label`` is written beside it."""

    at: Point
    kind: str
    says: str
    label: str = ""


@dataclass(frozen=True)
class Rule:
    """A horizontal or vertical line across the chart, with a word at its end."""

    value: float
    kind: str
    label: str
    vertical: bool = False


@dataclass(frozen=True)
class Axis:
    """What is measured, from where to where, and how a number of it is written."""

    title: str
    low: float
    high: float
    words: Words | None = None
    """None: as many decimals as the ticks need."""
    unit: float = 1.0
    """Ticks are round multiples of this: 60 for seconds shown as minutes."""

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers from ``low`` to ``high``."""
        step = self.step(about)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def says(self, value: float, about: int = 5) -> str:
        """A tick as it is written."""
        if self.words is not None:
            return self.words(value)
        step = self.step(about)
        decimals = next((d for d in range(12) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 12)
        return f"{value:.{decimals}f}"

    def step(self, about: int = 5) -> float:
        """The distance of the ticks."""
        span = max(self.high - self.low, 1e-12) / self.unit
        rough = span / about
        power = 10.0 ** math.floor(math.log10(rough))
        return next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999) * self.unit


def spread(values: Sequence[float], *, margin: float = 0.06) -> tuple[float, float]:
    """Lowest and highest of ``values`` with a little air; never empty."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    air = (high - low) * margin or max(abs(high), 1.0) * margin
    return low - air, high + air


def chart(
    name: str, description: str, x: Axis, y: Axis, *, lines: Sequence[Line] = (), marks: Sequence[Mark] = (),
    rules: Sequence[Rule] = (), shade: tuple[float, float] | None = None, width: int = WIDE,
) -> Markup:  # fmt: skip
    """A chart. ``shade`` greys a range of x."""
    frame = _Frame(x, y, width)
    parts = [Markup("<title>{}</title><desc>{}</desc>").format(name, description)]
    if shade is not None and shade[1] > shade[0]:
        left, right = frame.x(shade[0]), frame.x(shade[1])
        parts.append(
            Markup('<rect class="shade" x="{:.1f}" y="{}" width="{:.1f}" height="{}"/>').format(
                left, TOP, right - left, HEIGHT - TOP - BOTTOM
            )
        )
    parts += [_grid(frame), *(_rule(frame, rule) for rule in rules), *(_line(frame, line) for line in lines)]
    taken: list[Point] = []
    for mark in sorted(marks, key=lambda mark: mark.kind != "winner"):
        parts.append(_mark(frame, mark, taken))
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img">{}</svg>').format(
        width, HEIGHT, Markup("").join(parts)
    )


class _Frame:
    def __init__(self, x: Axis, y: Axis, width: int) -> None:
        self.x_axis, self.y_axis, self.right = x, y, width - RIGHT

    def x(self, value: float) -> float:
        return LEFT + _share(value, self.x_axis) * (self.right - LEFT)

    def y(self, value: float) -> float:
        return TOP + (1 - _share(value, self.y_axis)) * (HEIGHT - TOP - BOTTOM)


def _share(value: float, axis: Axis) -> float:
    share = (value - axis.low) / max(axis.high - axis.low, 1e-12)
    return min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0


def _grid(frame: _Frame) -> Markup:
    across = Markup('<line class="{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
    parts = []
    for value in frame.y_axis.ticks():
        y = frame.y(value)
        parts.append(across.format("grid", LEFT, frame.right, y, y))
        parts.append(_text(LEFT - 8, y + 4, frame.y_axis.says(value), "tick end"))
    about = (frame.right - LEFT) // 90
    for value in frame.x_axis.ticks(about):
        at = frame.x(value), HEIGHT - BOTTOM + 18
        parts.append(_text(*at, frame.x_axis.says(value, about), "tick middle"))
    parts.append(across.format("axis", LEFT, frame.right, HEIGHT - BOTTOM, HEIGHT - BOTTOM))
    parts.append(_text((LEFT + frame.right) / 2, HEIGHT - 4, frame.x_axis.title, "title middle"))
    parts.append(_text(LEFT, TOP - 3, frame.y_axis.title, "title"))
    return Markup("").join(parts)


def _rule(frame: _Frame, rule: Rule) -> Markup:
    if rule.vertical:
        x = frame.x(rule.value)
        line = Markup('<line class="rule {}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
            rule.kind, x, x, TOP, HEIGHT - BOTTOM
        )
        return line + _text(x - 5, TOP + 11, rule.label, "note end")
    y = frame.y(rule.value)
    line = Markup('<line class="rule {}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(
        rule.kind, LEFT, frame.right, y, y
    )
    return line + _text(frame.right - 4, y - 5, rule.label, "note end")


def _line(frame: _Frame, line: Line) -> Markup:
    finite = [(x, y) for x, y in line.points if math.isfinite(y)]
    if len(finite) < 2:
        return Markup("")
    path = [f"M{frame.x(finite[0][0]):.1f} {frame.y(finite[0][1]):.1f}"]
    for x, y in finite[1:]:
        path.append(f"H{frame.x(x):.1f}V{frame.y(y):.1f}" if line.steps else f"L{frame.x(x):.1f} {frame.y(y):.1f}")
    title = Markup("<title>{}</title>").format(line.says) if line.says else Markup("")
    return Markup('<path class="line {}" d="{}">{}</path>').format(line.kind, "".join(path), title)


def _mark(frame: _Frame, mark: Mark, taken: list[Point]) -> Markup:
    """The dot, and its label unless one is there already."""
    x, y = frame.x(mark.at[0]), frame.y(mark.at[1])
    dot = Markup('<circle class="mark {}" cx="{:.1f}" cy="{:.1f}" r="4.5"><title>{}</title></circle>').format(
        mark.kind, x, y, mark.says
    )
    # Above the dot, or below it where it would leave the chart.
    at = (x, y - 9 if y > TOP + 18 else y + 17)
    if not mark.label or any(abs(at[0] - u) < 22 and abs(at[1] - v) < 12 for u, v in taken):
        return dot
    taken.append(at)
    return dot + _text(*at, mark.label, "note middle")


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, escape(text))
