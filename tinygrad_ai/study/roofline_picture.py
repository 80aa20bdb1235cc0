"""The roofline as a picture: both axes logarithmic, the roof, and what lies below it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from .picture import INK, SUFFIXES, bare, file, paper

if TYPE_CHECKING:
    from .roofline import Machine, Point

MEMORY, COMPUTE = "#4f86b8", "#d1495b"  # what limits an op
LABELLED = 16  # points, those that took longest
BRIEF = 0.001  # of the time: what takes less is not drawn
SMALL, LARGE = 18.0, 700.0  # areas of points
Pixel = tuple[float, float]
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def draw(machine: Machine, points: list[Point], path: Any) -> Path:
    target = file(path, *SUFFIXES)
    able = [p for p in points if _drawable(p.intensity) and _drawable(p.rate)]
    if not able:
        raise ArgumentError(
            "there is no op to draw", "profile a block in which something is computed"
        )
    whole = sum([p.seconds for p in able])
    shown = [p for p in able if p.seconds >= BRIEF * whole]
    shown.sort(key=lambda p: -p.seconds)
    figure = paper(9, 5.6)
    axes = figure.add_axes((0.09, 0.105, 0.88, 0.785))
    left, right, low, high = _ends(machine, shown)
    axes.set(xscale="log", yscale="log", xlim=(left, right), ylim=(low, high))
    bare(axes)
    roof(axes, machine, left, right, low)
    sizes = _areas(shown)
    colors = [MEMORY if p.intensity < machine.ridge else COMPUTE for p in shown]
    axes.scatter(
        [p.intensity for p in shown], [p.rate for p in shown], s=sizes, c=colors, alpha=0.75,
        linewidths=0.8, edgecolors="white", zorder=3,
    )  # fmt: skip
    axes.set_xlabel("arithmetic intensity, FLOP/byte", color=INK, loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: rate(value))
    axes.tick_params(which="minor", color="#cccccc")
    words(figure, machine, len(points) - len(able), len(able) - len(shown))
    label(figure, axes, machine, shown[:LABELLED], sizes)
    figure.savefig(target)
    return target


def _drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0


def _ends(machine: Machine, points: list[Point]) -> tuple[float, float, float, float]:
    """The axes' ends: room for all points, the ridge, and both slopes of the roof."""
    xs, ys = [p.intensity for p in points], [p.rate for p in points]
    left, right = min(*xs, machine.ridge / 30) / 2, max(*xs, machine.ridge * 8) * 2
    top = max(*ys, machine.flops)
    return left, right, min(*ys, machine.limit(left)) / 2.5, top * 3


def _areas(points: list[Point]) -> list[float]:
    """Of the points, in proportion to time; all the same if it is not known."""
    most = max(p.seconds for p in points)
    if not most:
        return [60.0] * len(points)
    return [max(SMALL, LARGE * p.seconds / most) for p in points]


def roof(axes: Any, machine: Machine, left: float, right: float, low: float) -> None:
    """The slope, the flat part, and what they mean."""
    ridge, top = machine.ridge, machine.flops
    for xs, color in (((left, ridge), MEMORY), ((ridge, right), COMPUTE)):
        ys = [machine.limit(x) for x in xs]
        axes.plot(xs, ys, color=color, linewidth=2.2, solid_capstyle="round", zorder=2)
        axes.fill_between(xs, ys, low, color=color, alpha=0.05, linewidth=0, zorder=0)
    axes.plot([ridge, ridge], [low, top], color="#999999", linewidth=0.8, linestyle=(0, (4, 3)))
    note = {"size": 8.5, "weight": "bold"}
    axes.annotate(f"{rate(top)}FLOP/s", (right, top), (-6, 5), textcoords="offset points",
                  ha="right", color=COMPUTE, **note)  # fmt: skip
    at = math.sqrt(left * ridge)
    axes.annotate(
        f"{rate(machine.bandwidth)}B/s", (at, machine.limit(at)), (-8, 8), ha="center",
        textcoords="offset points", color=MEMORY, rotation=_slope(axes), va="bottom",
        rotation_mode="anchor", **note,
    )  # fmt: skip


def _slope(axes: Any) -> float:
    """The angle, on the paper, at which a rate rises with intensity."""
    (x0, y0), (x1, y1) = axes.transData.transform([(1, 1), (10, 10)])
    return math.degrees(math.atan2(y1 - y0, x1 - x0))


def words(figure: Any, machine: Machine, idle: int, brief: int) -> None:
    """Title, machine, and how to read it."""
    threads = f"{machine.threads} thread{'s' * (machine.threads != 1)}"
    where = threads if machine.device == "cpu" else machine.device
    title = f"Roofline: {machine.dtype}, {where}, ridge at {machine.ridge:.3g} FLOP/byte"
    figure.text(0.02, 0.965, title, size=12, weight="bold", va="center")
    at = 0.02
    for text, color in (
        ("FLOP/s by FLOP/byte, areas by time:", INK),
        ("limited by memory,", MEMORY),
        ("limited by computing", COMPUTE),
    ):
        one = figure.text(at, 0.922, text, size=8.5, va="center", color=color)
        at = figure.transFigure.inverted().transform(one.get_window_extent())[1][0] + 0.006
    told = [f"{idle} without operations or bytes"] * bool(idle)
    told += [f"{brief} below {BRIEF:.1%} of the time"] * bool(brief)
    if told:
        text = f"left out: {', '.join(told)}"
        figure.text(0.97, 0.042, text, size=8.5, va="center", ha="right", color="#777777")


def rate(value: float) -> str:
    """A number with its prefix, as 1.2 G."""
    size, prefix = next(((s, p) for s, p in PREFIXES if value >= s), (1.0, ""))
    return f"{value / size:.3g} {prefix}"


def label(
    figure: Any, axes: Any, machine: Machine, points: list[Point], sizes: list[float]
) -> None:
    """Names beside the points, each where it covers the least."""
    renderer = figure.canvas.get_renderer()
    scale = figure.dpi / 72  # pixels in a point of print
    places = _pixels(axes, [(p.intensity, p.rate) for p in points])
    discs = [(xy, math.sqrt(s / math.pi) * scale) for xy, s in zip(places, sizes)]
    clutter = Clutter(axes.get_window_extent(renderer), discs, _line(axes, machine))
    offset = {"textcoords": "offset points"}
    for p, (place, radius) in zip(points, discs):
        at = (p.intensity, p.rate)
        text = axes.annotate(p.label, at, (0, 0), size=8, color=INK, zorder=4, **offset)
        choices = []
        for dx, dy, ha, va in _around(radius / scale):
            text.set(position=(dx, dy), ha=ha, va=va)
            box = text.get_window_extent(renderer).expanded(1.02, 1.1)
            leader = _between(place, (place[0] + dx * scale, place[1] + dy * scale))
            choices.append((clutter.cost(box, leader), (dx, dy), (ha, va), box, leader))
        _, end, (ha, va), box, leader = min(choices, key=lambda choice: choice[0])
        text.set(position=end, ha=ha, va=va)
        clutter.boxes.append(box)
        if math.hypot(*end) > radius / scale + 12:
            clutter.lines += leader
            thin = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.6}
            axes.annotate("", at, end, arrowprops=thin, zorder=1, **offset)


@dataclass
class Clutter:
    """What a name should not cover, in pixels: points, lines, other names; and the frame."""

    frame: Any
    discs: list[tuple[Pixel, float]]
    lines: list[Pixel]
    boxes: list[Any] = field(default_factory=list)

    def cost(self, box: Any, leader: list[Pixel]) -> float:
        """The more, the worse is what a name covers, or its leader; a little for the distance."""
        outside = box.x0 < self.frame.x0 or box.x1 > self.frame.x1 or box.y1 > self.frame.y1
        cost = 20.0 * outside + 10 * sum([box.overlaps(other) for other in self.boxes])
        cost += sum([_inside(box, xy, radius) for xy, radius in self.discs])
        cost += 2 * any([_inside(box, xy, 4) for xy in self.lines])
        others = [(xy, radius) for xy, radius in self.discs if math.dist(xy, leader[0]) > radius]
        cost += sum([any([math.dist(xy, p) < r for p in leader]) for xy, r in others])
        cost += 2 * any([_inside(other, xy, 1) for other in self.boxes for xy in leader])
        return round(cost + math.dist(leader[0], leader[-1]) / 200, 6)  # equal: the usual place


def _between(start: Pixel, end: Pixel) -> list[Pixel]:
    """Places on a straight line."""
    (x0, y0), (x1, y1) = start, end
    return [(x0 + (x1 - x0) * i / 20, y0 + (y1 - y0) * i / 20) for i in range(21)]


def _line(axes: Any, machine: Machine) -> list[Pixel]:
    """Places along the roof and below its ridge, in pixels."""
    left, right = map(math.log, axes.get_xlim())
    xs = [math.exp(left + (right - left) * i / 300) for i in range(301)]
    (top,) = _pixels(axes, [(machine.ridge, machine.flops)])
    below = _between(top, (top[0], axes.get_window_extent().y0))
    return _pixels(axes, [(x, machine.limit(x)) for x in xs]) + below


def _pixels(axes: Any, places: list[tuple[float, float]]) -> list[Pixel]:
    """Places on the axes as pixels of the paper."""
    return [(x, y) for x, y in axes.transData.transform(places)]


def _around(radius: float) -> Iterator[tuple[float, float, str, str]]:
    """Offsets in points around one of this radius, the nearest and the usual first."""
    for gap in (3, 14, 26, 40, 56):
        d = radius + gap
        s = d * math.sqrt(0.5)
        yield d, 0, "left", "center"
        yield -d, 0, "right", "center"
        yield 0, d, "center", "bottom"
        yield 0, -d, "center", "top"
        for dx, ha in ((s, "left"), (-s, "right")):
            yield dx, s, ha, "bottom"
            yield dx, -s, ha, "top"


def _inside(box: Any, center: Pixel, radius: float) -> bool:
    """Whether a box covers a part of a disc."""
    x, y = center
    dx = max(box.x0 - x, 0, x - box.x1)
    dy = max(box.y0 - y, 0, y - box.y1)
    return math.hypot(dx, dy) < radius
