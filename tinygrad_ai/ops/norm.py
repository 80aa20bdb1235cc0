"""Norms of vectors; their slope at 0 is 0, as PyTorch has it."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.op import op
from ..errors import DTypeError
from ..tensor import methods
from .arguments import axes
from .arithmetic import pow
from .elementwise import abs, sign
from .reduce import amax, amin, spread, sum
from .select import where

__all__ = ["norm"]


@op
def _norm2(be, x, *, dim, keepdim):
    """y = √(Σ x²);   gx = [y > 0] g x / y"""
    return be.sqrt(be.total(x * x, dim, keepdim))


@_norm2.vjp
def _(g, y, x, *, dim):
    y = spread(y, x.shape, dim)
    zero = y == 0
    return spread(g, x.shape, dim) * where(zero, 0.0, x / where(zero, 1.0, y))


@op
def _norm_p(be, x, *, p, dim, keepdim):
    """y = (Σ |x|ᵖ)^(1 / p);   gx = [y > 0] g (sign x) |x|ᵖ⁻¹ / yᵖ⁻¹"""
    return be.total(be.abs(x) ** p, dim, keepdim) ** (1 / p)


@_norm_p.vjp
def _(g, y, x, *, p, dim):
    y = spread(y, x.shape, dim)
    size, zero = abs(x), y == 0
    safe = where(x == 0, 1.0, size)
    slope = where(x == 0, 0.0, pow(safe / where(zero, 1.0, y), p - 1))
    return spread(g, x.shape, dim) * sign(x) * slope


def vector_norm(
    x: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of order `ord` over dim (all of them for None): (Σ |x|ᵖ)^(1/p), max for inf,
    the number of nonzeros for 0."""
    x = x if dtype is None else x.to(dtype)
    if x.dtype.kind not in "fV":
        raise DTypeError(f"a norm expects a floating-point tensor, got {x.dtype}", "x.float()")
    dims = axes(dim, x.ndim)
    if ord == 2:
        return _norm2(x, dim=dims, keepdim=keepdim)
    if ord == math.inf:
        return amax(abs(x), dims, keepdim)
    if ord == -math.inf:
        return amin(abs(x), dims, keepdim)
    if ord == 0:
        return sum((x != 0).to(x.dtype), dims, keepdim)
    if ord == 1:
        return sum(abs(x), dims, keepdim)
    return _norm_p(x, p=ord, dim=dims, keepdim=keepdim)


def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """The norm of all elements, or along dim; "fro" is 2."""
    return vector_norm(input, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


methods(norm)
