"""The error function, the gamma function, and their relatives."""

from __future__ import annotations

import math

from ..autograd.op import op
from ..tensor import methods
from .arithmetic import exp, log
from .create import zeros_like
from .select import where

__all__ = [
    "digamma", "erf", "erfc", "erfinv", "lgamma", "logit", "mvlgamma", "polygamma", "xlogy",
]  # fmt: skip


@op(dtypes="float")
def erf(be, x):
    """y = erf x;   gx = g 2/√π e^(-x²)"""
    return be.erf(x)


@erf.vjp
def _(g, x):
    return g * (2 / math.sqrt(math.pi)) * exp(-x * x)


@op(dtypes="float")
def erfc(be, x):
    """y = 1 - erf x;   gx = -g 2/√π e^(-x²)"""
    return be.erfc(x)


@erfc.vjp
def _(g, x):
    return g * (-2 / math.sqrt(math.pi)) * exp(-x * x)


@op(dtypes="float")
def erfinv(be, x):
    """y = erf⁻¹ x;   gx = g √π/2 e^(y²)"""
    return be.erfinv(x)


@erfinv.vjp
def _(g, y):
    return g * (math.sqrt(math.pi) / 2) * exp(y * y)


@op(dtypes="float")
def lgamma(be, x):
    """y = ln |Γ(x)|;   gx = g ψ(x)"""
    return be.lgamma(x)


@lgamma.vjp
def _(g, x):
    return g * digamma(x)


@op(dtypes="float")
def digamma(be, x):
    """y = ψ(x);   gx = g polygamma(1, x)

    ψ(x) = Γ'(x) / Γ(x)
    """
    return be.digamma(x)


@digamma.vjp
def _(g, x):
    return g * _polygamma(x, n=1)


@op(dtypes="float")
def _polygamma(be, x, *, n):
    """y = polygamma(n, x);   gx = g polygamma(n + 1, x)

    The n-th derivative of ψ.
    """
    return be.polygamma(n, x)


@_polygamma.vjp
def _(g, x, *, n):
    return g * _polygamma(x, n=n + 1)


def polygamma(n, input):
    """The n-th derivative of digamma."""
    return _polygamma(input, n=n)


def mvlgamma(input, p):
    """The log of the multivariate gamma function of dimension p."""
    constant = p * (p - 1) / 4 * math.log(math.pi)
    return sum((lgamma(input - i / 2) for i in range(p)), constant)


@op(dtypes="float")
def xlogy(be, a, b):
    """y = [a != 0] a ln b;   ga = [a != 0] g ln b,  gb = g a / b"""
    return be.xlogy(a, b)


@xlogy.vjp
def _(g, a, b, needs):
    ga = where((a == 0) & (b <= 0), 0.0, g * log(b)) if needs[0] else None
    return ga, g * a / b if needs[1] else None


@op(dtypes="float")
def _logit(be, x, *, eps):
    """y = ln (c / (1 - c)),  c = min(max(x, ε), 1 - ε);   gx = [ε <= x <= 1 - ε] g / (x (1 - x))"""
    z = x if eps is None else be.clip(x, eps, 1 - eps)
    return be.log(z / (1 - z))


@_logit.vjp
def _(g, x, *, eps):
    inside = (x >= (eps or 0.0)) & (x <= 1 - (eps or 0.0))
    return where(inside, g / (x * (1 - x)), math.nan if eps is None else zeros_like(g))


def logit(input, eps=None):
    """The inverse of sigmoid; outside [eps, 1 - eps] the input is clamped."""
    return _logit(input, eps=eps)


methods(digamma, erf, erfc, erfinv, lgamma, logit, mvlgamma, xlogy)
