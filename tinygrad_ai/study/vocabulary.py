"""Words of the formulas that are no arithmetic, each in a few lines of plain NumPy. to_source
copies those that a script needs, so each stands by itself and uses only NumPy and `math`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def erf(x: Any) -> Any:
    """The error function, number by number."""
    return np.vectorize(math.erf, otypes=[float])(x)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def sum_to(g: Any, shape: Any) -> Any:
    """g summed over the axes along which `shape` was broadcast."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    ones = tuple([i for i, n in enumerate(shape) if n == 1])
    return g.sum(axis=ones, keepdims=True)


def put(x: Any, index: Any, shape: Any) -> Any:
    """Zeros with x added at an index, as often as each place comes."""
    y = np.zeros(shape, x.dtype)
    np.add.at(y, index, x)
    return y
