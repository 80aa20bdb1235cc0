"""Distances between vectors, and their products in space."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError, ShapeError
from ..tensor import methods
from .joining import stack, unbind
from .norm import vector_norm
from .shape import unsqueeze

__all__ = ["cdist", "cross", "dist"]


def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of input - other, broadcast against each other."""
    return vector_norm(input - other, p)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    """The p-norm between every row of x1 (..., P, M) and every row of x2 (..., R, M): (..., P, R).

    `compute_mode` is accepted and of no effect: differences are always taken exactly.
    """
    if x1.ndim < 2 or x2.ndim < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"cdist expects rows of one length, got {tuple(x1.shape)} and {tuple(x2.shape)}"
        )
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, -1)


def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross product of vectors of three numbers along dim (None: the first of size 3)."""
    if dim is None:
        if 3 not in input.shape:
            raise ArgumentError(f"cross expects a dimension of size 3, got {tuple(input.shape)}")
        dim = input.shape.index(3)
    if input.shape[dim] != 3 or other.shape[dim] != 3:
        raise ShapeError(
            f"cross expects size 3 along dim, got {tuple(input.shape)} and {tuple(other.shape)}"
        )
    (a, b, c), (x, y, z) = unbind(input, dim), unbind(other, dim)
    return stack([b * z - c * y, c * x - a * z, a * y - b * x], dim)


methods(dist, cross)
