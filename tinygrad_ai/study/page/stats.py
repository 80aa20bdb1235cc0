"""What a page says about an array: its range, its norm, a histogram, and what is wrong in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ... import backend

BINS = 24


@dataclass(frozen=True)
class Stats:
    """Over all elements; minimum to standard deviation and the histogram (from min to max) are of
    the finite ones, and None or empty without one. The norm is infinite or NaN with its array."""

    size: int
    norm: float
    nan: int
    inf: int
    minus_inf: int
    zeros: float  # the share of elements that are 0
    min: float | None
    max: float | None
    mean: float | None
    std: float | None
    histogram: list[int]

    @property
    def bad_value(self) -> bool:
        """Whether there is a NaN or an infinity; minus infinity is what masks are made of."""
        return self.nan + self.inf > 0

    @property
    def bad_grad(self) -> bool:
        return self.nan + self.inf + self.minus_inf > 0

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers of four digits, None for a norm that is not finite."""
        return {k: short(v) if isinstance(v, float) else v for k, v in asdict(self).items()}


def short(number: float) -> float | None:
    return float(f"{number:.4g}") if np.isfinite(number) else None


def stats(arrays: Sequence[Any]) -> Stats | None:
    """Of one array or several together; None without any number in them."""
    parts = [backend.to_numpy(a).ravel() for a in arrays if a is not None]
    x = np.concatenate(parts).astype(np.float64) if parts else np.zeros(0)
    if not x.size:
        return None
    wrong = int(np.isnan(x).sum()), int((x == np.inf).sum()), int((x == -np.inf).sum())
    finite, zeros = x[np.isfinite(x)], float((x == 0).mean())
    with np.errstate(all="ignore"):  # sums and squares may overflow
        norm = float(np.linalg.norm(x))
        if not finite.size:
            return Stats(x.size, norm, *wrong, zeros, None, None, None, None, [])
        low, high = float(finite.min()), float(finite.max())
        middle, spread = float(finite.mean()), float(finite.std())
        counts = histogram(finite, low, high)
    return Stats(x.size, norm, *wrong, zeros, low, high, middle, spread, counts)


def histogram(x: np.ndarray[Any, Any], low: float, high: float) -> list[int]:
    """How many elements lie in each of BINS equal parts; all in the middle if they are equal."""
    if not high - low > 0 or not np.isfinite(high - low):
        return [x.size if i == BINS // 2 else 0 for i in range(BINS)]
    parts = ((x - low) * (BINS / (high - low))).astype(np.int64)
    return [int(n) for n in np.bincount(np.minimum(parts, BINS - 1), minlength=BINS)]
