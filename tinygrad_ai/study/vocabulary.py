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


def broadcast(x: Any, shape: Any) -> Any:
    return np.broadcast_to(x, shape)


def cast(x: Any, dtype: Any) -> Any:
    return np.asarray(x).astype(dtype)


def cat(xs: Any, dim: int) -> Any:
    return np.concatenate(xs, axis=dim)


def pieces(g: Any, xs: Any, dim: int) -> Any:
    """g cut into parts as long as each x along dim."""
    ends = np.cumsum([x.shape[dim] for x in xs])[:-1]
    return tuple(np.split(g, ends, axis=dim))


def others(x: Any, axis: Any) -> Any:
    """For each x the product of all others along an axis, without dividing."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    lead = [i for i in range(x.ndim) if i not in axes]
    rows = x.transpose([*lead, *axes]).reshape(*[x.shape[i] for i in lead], -1)
    n = rows.shape[-1]
    one = np.stack([np.prod(np.delete(rows, i, -1), axis=-1) for i in range(n)], axis=-1)
    moved = one.reshape([x.shape[i] for i in [*lead, *axes]])
    return moved.transpose(np.argsort([*lead, *axes]))


def unroll(g: Any, shifts: Any, dims: Any) -> Any:
    """g rolled back."""
    return np.roll(g, tuple([-s for s in np.atleast_1d(shifts)]), tuple(np.atleast_1d(dims)))
