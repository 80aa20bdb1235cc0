"""Lengths of vectors, and distances and angles between them."""

from __future__ import annotations

from typing import Any

from ...autograd.wide import narrowed, wide
from ...ops.elementwise import clamp
from ...ops.norm import vector_norm
from ...ops.reduce import sum
from ...ops.shape import broadcast_tensors

__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """input divided by its p-norm along dim, the norm at least eps."""
    return input / clamp(vector_norm(input, p, dim, True), min=eps)


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    y = vector_norm(wide(x1) - wide(x2) + eps, p, -1, keepdim)
    return narrowed(y, x1) if x1.dtype == x2.dtype else y


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between x1 and x2 along dim; each norm is at least eps."""
    x1, x2 = broadcast_tensors(x1, x2)
    n1 = clamp(vector_norm(x1, 2, dim, True), min=eps)
    n2 = clamp(vector_norm(x2, 2, dim, True), min=eps)
    return sum((x1 / n1) * (x2 / n2), dim)
