"""The arithmetic everything else is made of: each op's value and derivative, side by side."""

from __future__ import annotations

from ..autograd.op import op
from .select import where

__all__ = ["exp", "log", "mul", "neg", "pow", "sqrt", "tanh", "true_divide"]


@op(dtypes="promote")
def add(be, a, b):
    """y = a + b;   ga = g,  gb = g"""
    return a + b


@add.vjp
def _(g):
    return g, g


@op(dtypes="promote")
def sub(be, a, b):
    """y = a - b;   ga = g,  gb = -g"""
    return be.subtract(a, b)


@sub.vjp
def _(g, needs):
    return g, -g if needs[1] else None


@op(dtypes="promote")
def mul(be, a, b):
    """y = a b;   ga = g b,  gb = g a"""
    return a * b


@mul.vjp
def _(g, a, b, needs):
    return g * b if needs[0] else None, g * a if needs[1] else None


@op(dtypes="float")
def true_divide(be, a, b):
    """y = a / b;   ga = g / b,  gb = -g y / b"""
    return be.true_divide(a, b)


@true_divide.vjp
def _(g, a, b, needs):
    return g / b if needs[0] else None, -g * (a / b) / b if needs[1] else None


@op
def neg(be, x):
    """y = -x;   gx = -g"""
    return be.negative(x)


@neg.vjp
def _(g):
    return -g


@op(dtypes="promote")
def pow(be, a, b):
    """y = aᵇ;   ga = [b != 0] g b aᵇ⁻¹,  gb = [a != 0] g y ln a"""
    return be.power(a, b)


@pow.vjp
def _(g, y, a, b, needs):
    ga = where(b == 0, 0.0, g * b * a ** (b - 1)) if needs[0] else None
    gb = where((a == 0) & (b >= 0), 0.0, g * y * log(a)) if needs[1] else None
    return ga, gb


@op(dtypes="float")
def exp(be, x):
    """y = eˣ;   gx = g y"""
    return be.exp(x)


@exp.vjp
def _(g, y):
    return g * y


@op(dtypes="float")
def log(be, x):
    """y = ln x;   gx = g / x"""
    return be.log(x)


@log.vjp
def _(g, x):
    return g / x


@op(dtypes="float")
def sqrt(be, x):
    """y = √x;   gx = g / 2y"""
    return be.sqrt(x)


@sqrt.vjp
def _(g, y):
    return g / (2 * y)


@op(dtypes="float")
def tanh(be, x):
    """y = tanh x;   gx = g (1 - y²)"""
    return be.tanh(x)


@tanh.vjp
def _(g, y):
    return g * (1 - y * y)
