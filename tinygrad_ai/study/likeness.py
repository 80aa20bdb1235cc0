"""What is the matter with an array, told from the right one beside it: the mistakes that leave a
pattern. Used where a gradient is compared with a numeric one, or with another library's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Likeness:
    """A mistake by its short name (sign, factor, ...), and what it looks like."""

    name: str
    text: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def likeness(wrong: Any, right: Any, tolerance: float = 1e-4) -> Likeness | None:
    """The mistake that turns `right` into `wrong`, or None where no pattern is seen.

    Values count as equal within `tolerance` times the largest right one.
    """
    wrong, right = np.asarray(wrong, np.float64), np.asarray(right, np.float64)
    if not np.isfinite(wrong).all():
        return Likeness("not finite", "NaN or infinity where the right values are finite")
    if not right.size or not np.isfinite(right).all():
        return None
    small = tolerance * abs(right).max()
    return next(_found(wrong, right, small), None)


def _found(wrong: Any, right: Any, small: float) -> Iterator[Likeness]:
    def same(a: Any, b: Any) -> bool:
        return a.shape == b.shape and bool((abs(a - b) <= small).all())

    if wrong.shape != right.shape:
        if same(wrong.T, right):
            yield Likeness("transposed", "it is the transpose of the right one")
        return
    if same(wrong, right):
        return
    if not small:
        yield Likeness("not zero", "it should be zero")
    if same(wrong, 0 * wrong) and small:
        yield Likeness("detached", "it is zero: nothing arrives, as after detach() or no_grad()")
        return
    factor = float((wrong * right).sum() / ((right * right).sum() or 1.0))
    if abs(factor + 1) < 1e-3 and same(wrong, -right):
        yield Likeness("sign", "the sign is wrong: it is minus the right one")
    scaled = abs(wrong - factor * right) <= abs(factor) * small
    if factor and right.size > 1 and scaled.all():
        yield Likeness("factor", f"looks like a factor of {number(factor)}{_size(factor, right)}")
    if right.size == 1 and simple(factor) and abs(factor + 1) >= 1e-3:
        yield Likeness("factor", f"looks like a factor of {number(factor)}")
    if same(abs(wrong), abs(right)):
        count = int((abs(wrong - right) > small).sum())
        yield Likeness("sign", f"the sign is wrong in {count} of {right.size} entries")
    if right.ndim >= 2:
        turned = wrong.reshape((*right.shape[:-2], *right.shape[:-3:-1]))
        if same(np.swapaxes(turned, -1, -2), right):
            yield Likeness("transposed", "it is the transpose of the right one")
    off = abs(wrong - right) > small
    if (abs(wrong[off]) <= small).all():
        text = f"{int(off.sum())} of {right.size} entries are 0 and the others right"
        yield Likeness("missing sum", f"{text}: a sum, or the terms of other places, is missing")
    if same(np.sort(wrong, None), np.sort(right, None)):
        yield Likeness("permuted", "the right values in other places")
    gap = wrong - right
    if right.size > 1 and same(gap, 0 * gap + gap.mean()):
        yield Likeness("missing term", f"off by {gap.mean():.4g} everywhere: a constant term")


def number(factor: float) -> str:
    """A factor as people write it: 2.0, 1/3, 0.1234."""
    return simple(factor) or f"{factor:.4g}"


def simple(factor: float) -> str:
    """A factor that is a ratio of small numbers; empty for another. Two single numbers always
    have some factor: only such a one means something."""
    if not factor:
        return ""
    inverse = Fraction(1 / factor).limit_denominator(16)
    for value in (Fraction(factor).limit_denominator(16), inverse and 1 / inverse):
        if value and abs(float(value) / factor - 1) < 2e-4:
            return f"{float(value):.1f}" if value.denominator == 1 else str(value)
    return ""


def _size(factor: float, right: Any) -> str:
    for n in (*right.shape, right.size):
        for value, words in ((n, "a mean is missing"), (1 / n, "a mean instead of a sum")):
            if n > 2 and abs(factor / value - 1) < 1e-3:
                return f", and {n} is a size: {words}?"
    return ""
