"""Softmax and its logarithm."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..tensor import methods
from .arguments import axis
from .arithmetic import exp
from .reduce import sum

__all__ = ["log_softmax", "softmax"]


@op
def _softmax(be, x, *, dim):
    """y = eˣ / Σ eˣ;   gx = y (g - Σ g y)"""
    return be.softmax(x, dim)


@_softmax.vjp
def _(g, y, *, dim):
    gy = g * y
    return gy - y * sum(gy, dim, True)


@op
def _log_softmax(be, x, *, dim):
    """y = x - log Σ eˣ;   gx = g - eʸ Σ g"""
    return be.log_softmax(x, dim)


@_log_softmax.vjp
def _(g, y, *, dim):
    return g - exp(y) * sum(g, dim, True)


def _along(op: Any, input: Any, dim: int, dtype: Any) -> Any:
    x = input if dtype is None else input.to(dtype)
    if not x.ndim:
        return op(x.reshape(1), dim=axis(dim, 0)).reshape(())
    return op(x, dim=axis(dim, x.ndim))


def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """eˣ / Σ eˣ along dim: positive, and 1 in sum."""
    return _along(_softmax, input, dim, dtype)


def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """log softmax, without overflow and without log 0."""
    return _along(_log_softmax, input, dim, dtype)


methods(log_softmax, softmax)
