"""One derivative under many step sizes, and what the curve of its errors says.

Central differences err by h² from the function's curvature and by noise / h from rounding: in a
plot of the error over h that is a U. A wrong rule has no bottom there, a kink has slopes that
differ on its two sides however small h is, noise hides everything below some h.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import comb
from typing import Any

import numpy as np

from ..autograd.gradcheck import Case, loose
from ..tensor import Tensor

EDGE = "the function is not defined on all sides: the input is at the edge of its domain"
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Step:
    """The differences of one step size, and what of them may be rounding."""

    h: float
    numeric: float
    left: float
    right: float
    noise: float
    error: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """What a curve says about one entry of the Jacobian, with the best numeric value."""

    verdict: str  # right, wrong, kink, rounding noise
    text: str
    numeric: float


def base_step(x: float, dtype: Any) -> float:
    """The step at which both errors of a well-behaved function are about equal: ∛u."""
    return float(np.finfo(dtype).eps) ** (1 / 3) * max(1.0, abs(x))


def curve(case: Case, x: Tensor, k: int, o: int, j: int, analytic: float) -> list[Step]:
    """The sweep for element j of output o by element k of x, largest step first."""
    unit = np.finfo(x.dtype).eps
    with loose(x) as flat, np.errstate(all="ignore"):
        start = float(flat[k])

        def value(to: float) -> tuple[float, float]:
            """Where the input really was, as its dtype rounds, and the output there."""
            flat[k] = to
            at, y = float(flat[k]), float(case.values()[o][j])
            flat[k] = start
            return at, y

        here, size = value(start)[1], max(1.0, abs(start))
        smallest = smallest_step(start, x.dtype)
        noise = max(_noise(value, start, size, x.dtype), float(unit) * abs(here) / 2)
        found = []
        for h in 10.0 ** np.arange(-1, np.log10(smallest / size) - 0.1, -1 / 3) * size:
            (b, above), (a, below) = value(start + h), value(start - h)
            if a < start < b:
                numeric = (above - below) / (b - a)
                left, right = (here - below) / (start - a), (above - here) / (b - start)
                error = abs(analytic - numeric)
                found.append(Step(float(h), numeric, left, right, noise / float(h), error))
    return found


def smallest_step(x: float, dtype: Any) -> float:
    """Where the sweep ends: 1e-10 (float32: 1e-6), less for inputs near 0, if numbers allow it."""
    scale = min(1.0, max(abs(x), 1e-20)) if x else 1.0
    spacing = float(np.spacing(np.asarray(abs(x), dtype)))
    return max(scale * (1e-10 if dtype.itemsize > 4 else 1e-6), 8 * spacing)


def _noise(value: Callable[[float], Any], start: float, size: float, dtype: Any) -> float:
    """The function's noise, from high differences along the side that has less of it: a kink at the
    point itself is none (Moré & Wild, 2011, "Estimating computational noise")."""
    (left, flat_left, end_left), (right, flat_right, end_right) = [
        _side(value, start, sign, size, dtype) for sign in (-1, 1)
    ]
    if flat_left and not flat_right:  # a constant has no noise, and does not know the other side's
        return 0.0 if end_right else right
    if flat_right and not flat_left:
        return 0.0 if end_left else left
    return min([s for s in (left, right) if np.isfinite(s)] or [0.0])


def _side(
    value: Callable[[float], Any], start: float, sign: int, size: float, dtype: Any
) -> tuple[float, bool, bool]:
    """The noise on one side, and whether the function is constant there: from afar, and near by.
    Two spacings: one may fall in step with a staircase. What bends sharply looks like noise from
    afar: then the two finest spacings tell that do not stand on one stair."""
    usual = (1.37e-6, 2.3e-7) if dtype.itemsize > 4 else (1.37e-3,)
    far = [_differences(value, start, sign * w * size) for w in usual]
    coarse, kinds = max([noise for noise, _ in far]), max([kinds for _, kinds in far])
    flat, width, finer = kinds == 1, usual[-1] * size / 7, []
    small = not flat and coarse <= 30 * float(np.finfo(dtype).eps) * abs(value(start)[1])
    while width > 2 * smallest_step(start, dtype) and not small:
        noise, kinds = _differences(value, start, sign * width)
        if kinds > 9:
            finer.append(noise)
        elif kinds > 1 or finer or not flat:
            break  # a stair
        width /= 7
    known = len(finer) > 1 or (finer and flat)
    level = 2 * max(finer[-2:]) if known else coarse
    return (level if flat else min(coarse, level)), flat and not finer, kinds == 1


def _differences(value: Callable[[float], Any], start: float, width: float) -> tuple[float, int]:
    """The noise of 12 values, and how many are different. Each order of differences takes a power
    more of what is smooth away."""
    ys = [value(start + width * i)[1] for i in range(1, 13)]
    orders = [(k, np.diff(ys, k)) for k in range(4, 9)]
    found = min([float(np.sqrt(np.mean(d**2) / comb(2 * k, k))) for k, d in orders])
    return (found if np.isfinite(found) else float("inf")), len(set(ys))


def judged(steps: list[Step], analytic: float, base: float, atol: float, rtol: float) -> Found:
    """The verdict on one analytic value; `base` is the step that was used for all entries."""
    defined = [s for s in steps if np.isfinite(s.numeric)]
    if not defined:
        return Found("kink", EDGE, analytic)
    found, size = _judged(defined, analytic, base, atol, rtol), abs(analytic)
    near = max([s.error for s in defined[-2:]]) < 0.05 * size
    if found.verdict == "wrong" and near and abs(found.numeric - analytic) > size / 2:
        text = "the function bends within the smallest steps, which come near the rule's value"
        return Found("rounding noise", text, defined[-1].numeric)
    return found


def _judged(defined: list[Step], analytic: float, base: float, atol: float, rtol: float) -> Found:
    """The verdict of the curve alone."""

    def allowed(s: Step) -> float:
        return atol + rtol * max(abs(analytic), abs(s.numeric))

    usable = [s for s in defined if 2 * s.noise <= allowed(s)]
    if not usable:
        best = min(defined, key=lambda s: s.noise)
        if abs(analytic - best.numeric) > 10 * (best.noise + allowed(best)):
            return Found("wrong", "even the noise does not explain the difference", best.numeric)
        text = f"the function's noise of {best.noise:.1e} in the slope hides the derivative"
        return Found("rounding noise", text, best.numeric)
    last = usable[-1]
    kink = _kink(usable, allowed(last))
    if kink:
        return _at_kink(last, kink, analytic, allowed(last))
    near = _near(usable, allowed)
    trusted = usable[near:] if len(usable[near:]) > 1 else usable
    found = _smooth(trusted, analytic, allowed, usable[near - 1].h if near else None, base)
    there = min(defined, key=lambda s: abs(np.log(s.h / base)))
    if found.verdict == "right" and there.error > allowed(there) < 4 * there.noise:
        text = f"at h = {there.h:.0e} the function's noise hides the derivative, but {found.text}"
        return Found("rounding noise", text, found.numeric)
    return found


def _kink(usable: list[Step], allowed: float) -> str:
    """Whether the slopes on both sides still differ at the smallest step, and how. From step to
    step their gap grows as 1 / h at a jump, stays at a kink, and falls as h where it is smooth; a
    wave that is too short for the steps does none of it."""
    gaps = [abs(s.right - s.left) for s in usable[-4:]]
    if len(gaps) < 4 or gaps[-1] <= allowed + 4 * usable[-1].noise or not all(gaps):
        return ""
    grows = [b / a for a, b in zip(gaps, gaps[1:])]
    if all([1.5 < r < 3 for r in grows]):
        return "jump"
    return "kink" if all([0.4 < r < 1.4 for r in grows]) and grows[-1] > 0.7 else ""


def _at_kink(last: Step, kind: str, analytic: float, allowed: float) -> Found:
    low, high = sorted((last.left, last.right))
    slopes = f"the slope is {last.left:.4g} before and {last.right:.4g} after"
    if kind == "jump":
        return Found("kink", f"the function jumps here: {slopes}", last.numeric)
    if low - allowed <= analytic <= high + allowed:
        return Found("kink", f"{slopes}: any value between is a subgradient", last.numeric)
    return Found("wrong", f"there is a kink, but {slopes}: the rule is outside", last.numeric)


def _near(usable: list[Step], allowed: Any) -> int:
    """The first step, from the largest, that no longer reaches over a kink nearby; 0: there is
    none. Across one the gap between the slopes falls at once, and not as h does."""
    gaps = [abs(s.right - s.left) for s in usable]
    for i in range(len(usable) - 1, 1, -1):
        limit = allowed(usable[i]) + 4 * usable[i].noise
        if gaps[i] <= limit and gaps[i - 2] > max(limit, 20 * gaps[i]):
            return i
    return 0


def _smooth(
    trusted: list[Step], analytic: float, allowed: Any, reach: float | None, base: float
) -> Found:
    """Where the function is smooth: the step where neighbours agree best gives the number."""
    best, doubt = _best(trusted, allowed)
    gap = abs(analytic - best.numeric)
    if gap > allowed(best) + 3 * doubt:
        return Found("wrong", f"the two differ by {gap:.1e}, whatever the step size", best.numeric)
    if 3 * doubt > 10 * allowed(best):
        text = f"the differences are known within {3 * doubt:.1e} only"
        return Found("rounding noise", text, best.numeric)
    if reach is not None and reach <= 10 * base:
        text = f"there is a kink, or a sharp bend, within {reach:.0e}; closer the rule is right"
        return Found("kink", text, best.numeric)
    return Found("right", f"the two agree at h = {best.h:.0e}", best.numeric)


def _best(trusted: list[Step], allowed: Any) -> tuple[Step, float]:
    """The step that errs least, and by how much: from the smallest up, as long as neighbours agree.
    Far out they may agree again, and both be wrong: a wave looks flat from there."""
    best, doubt = trusted[-1], float("inf")
    for large, small in zip(trusted[-2::-1], trusted[:0:-1]):
        change = abs(large.numeric - small.numeric)
        if change + small.noise < doubt:
            best, doubt = small, change + small.noise
        if change > allowed(small) + 4 * small.noise:
            break
    return best, min(doubt, best.noise) if len(trusted) == 1 else doubt


def sparkline(steps: list[Step]) -> str:
    """The errors in order as bars, logarithmic; a blank where there is none."""
    logs = [np.log10(max(s.error, 1e-18)) if np.isfinite(s.error) else np.nan for s in steps]
    known = [v for v in logs if np.isfinite(v)]
    if not known:
        return " " * len(steps)
    low, width = min(known), max(max(known) - min(known), 4.0)  # less than that is no U
    return "".join([BARS[int((v - low) / width * 7)] if np.isfinite(v) else " " for v in logs])
