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
    """y = eᶻ / Σ eᶻ,  z = x - max x;   gx = y (g - Σ g y)"""
    return be.softmax(x, dim)


@_softmax.vjp
def _(g, y, *, dim):
    return _softmax_grad(g, y, dim=dim)


@op
def _softmax_grad(be, g, p, *, dim):
    """y = p (g - Σ g p);   gg = p (h - Σ h p),  gp = h (g - Σ g p) - g (Σ h p)"""
    return be.softmax_grad(g, p, dim)


@_softmax_grad.vjp
def _(h, g, p, needs, *, dim):
    gp = None
    if needs[1]:
        gp = h * (g - sum(g * p, dim, True)) - g * sum(h * p, dim, True)
    return _softmax_grad(h, p, dim=dim) if needs[0] else None, gp


@op
def _log_softmax(be, x, *, dim):
    """y = z - ln (Σ eᶻ),  z = x - max x;   gx = g - eʸ (Σ g)"""
    return be.log_softmax(x, dim)


@_log_softmax.vjp
def _(g, y, *, dim):
    return _log_softmax_grad(g, y, dim=dim)


@op
def _log_softmax_grad(be, g, z, *, dim):
    """y = g - eᶻ (Σ g);   gg = h - Σ h eᶻ,  gz = -h eᶻ (Σ g)"""
    return be.log_softmax_grad(g, z, dim)


@_log_softmax_grad.vjp
def _(h, g, z, *, dim):
    he = h * exp(z)
    return h - sum(he, dim, True), -he * sum(g, dim, True)


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
