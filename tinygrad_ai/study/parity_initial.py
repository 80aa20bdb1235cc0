"""Initial values of two models: not the same numbers, but are they spread as widely?"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from .parity_report import Cause, Row

RULES: dict[str, Callable[[float, float], float]] = {
    "uniform within 1/√fan_in, PyTorch's default": lambda i, o: 1 / sqrt(3 * i),
    "Kaiming, √(2 / fan_in)": lambda i, o: sqrt(2 / i),
    "Kaiming by fan_out, √(2 / fan_out)": lambda i, o: sqrt(2 / o),
    "Xavier, √(2 / (fan_in + fan_out))": lambda i, o: sqrt(2 / (i + o)),
    "LeCun, 1/√fan_in": lambda i, o: 1 / sqrt(i),
    "a standard deviation of 0.02": lambda i, o: 0.02,
    "a standard deviation of 1": lambda i, o: 1.0,
}


def initial(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[list[Row], list[Cause]]:
    """How widely fresh parameters are spread, up to the first that differs more than chance
    allows: the standard deviation of n numbers is known within 1 / √(2 n) of itself."""
    found: list[Row] = []
    for name, a in ours.items():
        b = theirs.get(name)
        if b is None or a.dtype.kind != "f" or not a.size:
            continue
        spread, other = float(a.std()), float(b.std())
        gap = max(abs(spread - other), abs(a.mean() - b.mean()) if not spread + other else 0.0)
        top = max(spread, other) or 1.0
        ok = bool(gap <= 5 / sqrt(a.size) * top)
        found.append(Row("initial", name, tuple(a.shape), gap, gap / top, 0.0, ok))
        if not ok:
            weight = ours.get(f"{name.rpartition('.')[0]}.weight".lstrip("."), a)
            text = f"ours is {_rule(a, weight)}; the reference is {_rule(b, weight)}"
            return found, [Cause("initial bound", text)]
    return found, []


def _rule(values: Any, weight: Any) -> str:
    """How initial values were drawn, as far as can be seen."""
    std = float(values.std())
    if not std:
        return f"constant, {float(values.mean()):g}"
    bound = float(abs(values - values.mean()).max())
    kind = "uniform" if bound < 1.9 * std and values.size > 30 else "not uniform"
    text = f"{kind}, standard deviation {std:.3g}, largest {bound:.3g}"
    if weight.ndim < 2:
        return text
    field = float(np.prod(weight.shape[2:]))
    fans = weight.shape[1] * field, weight.shape[0] * field
    near = {n: abs(rule(*fans) / std - 1) for n, rule in RULES.items()}
    best = min(near, key=lambda n: near[n])
    return f"{text} ({best})" if near[best] < 4 / sqrt(values.size) else text
