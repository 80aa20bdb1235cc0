"""The line search of L-BFGS: a step that satisfies the strong Wolfe conditions.

f(t) <= f(0) + c₁ t f'(0) and |f'(t)| <= -c₂ f'(0)   (Nocedal & Wright, algorithms 3.5 and 3.6)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..ops.elementwise import abs as magnitude

DECREASE, CURVATURE, NARROW = 1e-4, 0.9, 1e-9


class Point(NamedTuple):
    """A step, the loss and gradient there, and the slope along the direction."""

    t: float
    f: float
    g: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """The minimum of the cubic through two points with their slopes, within [low, high]."""
    if b.t < a.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.f - b.f) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(t, low), high)


def strong_wolfe(
    at: Callable[[float], tuple[float, Any]],
    d: Any,
    t: float,
    here: tuple[float, Any, float],
    room: int,
) -> tuple[float, float, Any]:
    """The step found, and loss and gradient there; at most `room` evaluations after the first."""
    search = _Search(at, d, Point(0.0, *here), room)
    bracket = search.bracket(t)
    best = bracket[0] if len(bracket) == 1 else search.zoom(bracket)
    return best.t, best.f, best.g


class _Search:
    def __init__(self, at: Any, d: Any, start: Point, room: int) -> None:
        self.at, self.d, self.start, self.room = at, d, start, room
        self.width = magnitude(d).max().item()
        self.tries = 0

    def point(self, t: float) -> Point:
        f, g = self.at(t)
        return Point(t, f, g, g.dot(self.d).item())

    def too_high(self, p: Point) -> bool:
        return p.f > self.start.f + DECREASE * p.t * self.start.slope

    def flat_enough(self, p: Point) -> bool:
        return abs(p.slope) <= -CURVATURE * self.start.slope

    def bracket(self, t: float) -> list[Point]:
        """A point that satisfies both conditions, or two with one between them."""
        before, now = self.start, self.point(t)
        while self.tries < self.room:
            if self.too_high(now) or (self.tries > 1 and now.f >= before.f):
                return [before, now]
            if self.flat_enough(now):
                return [now]
            if now.slope >= 0:
                return [before, now]
            low, high = now.t + 0.01 * (now.t - before.t), now.t * 10
            before, now = now, self.point(cubic_minimum(before, now, low, high))
            self.tries += 1
        return [self.start, now]

    def zoom(self, bracket: list[Point]) -> Point:
        """Narrows a bracket until a point in it satisfies both conditions."""
        best, other = sorted(bracket, key=lambda p: p.f)
        stalled = False
        while self.tries < self.room:
            if abs(other.t - best.t) * self.width < NARROW:
                break
            low, high = sorted((best.t, other.t))
            t = cubic_minimum(best, other, low, high)
            t, stalled = self.inside(t, low, high, stalled)
            now = self.point(t)
            self.tries += 1
            if self.too_high(now) or now.f >= best.f:
                best, other = sorted((best, now), key=lambda p: p.f)
                continue
            if self.flat_enough(now):
                return now
            if now.slope * (other.t - best.t) >= 0:
                other = best
            best = now
        return best

    def inside(self, t: float, low: float, high: float, stalled: bool) -> tuple[float, bool]:
        """A trial step kept away from the ends when it comes close to them twice."""
        margin = 0.1 * (high - low)
        if min(high - t, t - low) >= margin:
            return t, False
        if stalled or t >= high or t <= low:
            return (high - margin if abs(t - high) < abs(t - low) else low + margin), False
        return t, True
