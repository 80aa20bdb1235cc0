"""The colours of gradients, dark to bright: viridis (van der Walt and Smith, 2015), thinned out."""

from __future__ import annotations

import math

from .stats import Stats

RAMP = ["#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39", "#fde725"]
BAD, ZERO = "#d62839", "#8a8f98"


def colour(grad: Stats | None, scale: tuple[int, int]) -> str | None:
    """The colour of a gradient's norm between two powers of ten; None where there is none."""
    if grad is None:
        return None
    if grad.bad_grad or not math.isfinite(grad.norm):
        return BAD
    if grad.norm == 0:
        return ZERO
    low, high = scale
    return mixed(min(1.0, max(0.0, (math.log10(grad.norm) - low) / (high - low))))


def mixed(share: float) -> str:
    """A place on the ramp, 0 to 1."""
    at = share * (len(RAMP) - 1)
    k = min(int(at), len(RAMP) - 2)
    a, b = ([int(RAMP[i][j : j + 2], 16) for j in (1, 3, 5)] for i in (k, k + 1))
    return "#" + "".join([f"{round(p + (q - p) * (at - k)):02x}" for p, q in zip(a, b)])


def ink(fill: str) -> str:
    """Black or white, whichever contrasts more (WCAG 2's relative luminance)."""
    parts = [int(fill[j : j + 2], 16) / 255 for j in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if (light + 0.05) / 0.05 > 1.05 / (light + 0.05) else "#ffffff"
