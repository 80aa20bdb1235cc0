"""Circular and hyperbolic functions and their inverses."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.op import op
from ..tensor import Tensor, methods
from .arithmetic import sqrt
from .select import where

__all__ = [
    "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "deg2rad", "hypot", "rad2deg", "sin",
    "sinc", "sinh", "tan",
]  # fmt: skip


@op(dtypes="float")
def sin(be, x):
    """y = sin x;   gx = g cos x"""
    return be.sin(x)


@sin.vjp
def _(g, x):
    return g * cos(x)


@op(dtypes="float")
def cos(be, x):
    """y = cos x;   gx = -g sin x"""
    return be.cos(x)


@cos.vjp
def _(g, x):
    return -g * sin(x)


@op(dtypes="float")
def tan(be, x):
    """y = tan x;   gx = g (1 + y²)"""
    return be.tan(x)


@tan.vjp
def _(g, y):
    return g * (1 + y * y)


@op(dtypes="float")
def asin(be, x):
    """y = arcsin x;   gx = g / √(1 - x²)"""
    return be.arcsin(x)


@asin.vjp
def _(g, x):
    return g / sqrt(1 - x * x)


@op(dtypes="float")
def acos(be, x):
    """y = arccos x;   gx = -g / √(1 - x²)"""
    return be.arccos(x)


@acos.vjp
def _(g, x):
    return -g / sqrt(1 - x * x)


@op(dtypes="float")
def atan(be, x):
    """y = arctan x;   gx = g / (1 + x²)"""
    return be.arctan(x)


@atan.vjp
def _(g, x):
    return g / (1 + x * x)


@op(dtypes="float")
def atan2(be, a, b):
    """y = atan2(a, b);   ga = [r > 0] g b / r,  gb = -[r > 0] g a / r,  r = a² + b²"""
    return be.arctan2(a, b)


@atan2.vjp
def _(g, a, b):
    square = a * a + b * b
    scaled = g * where(square == 0, 0.0, 1 / square)
    return scaled * b, -scaled * a


@op(dtypes="float")
def sinh(be, x):
    """y = sinh x;   gx = g cosh x"""
    return be.sinh(x)


@sinh.vjp
def _(g, x):
    return g * cosh(x)


@op(dtypes="float")
def cosh(be, x):
    """y = cosh x;   gx = g sinh x"""
    return be.cosh(x)


@cosh.vjp
def _(g, x):
    return g * sinh(x)


@op(dtypes="float")
def asinh(be, x):
    """y = arsinh x;   gx = g / √(x² + 1)"""
    return be.arcsinh(x)


@asinh.vjp
def _(g, x):
    return g / sqrt(x * x + 1)


@op(dtypes="float")
def acosh(be, x):
    """y = arcosh x;   gx = g / √(x² - 1)"""
    return be.arccosh(x)


@acosh.vjp
def _(g, x):
    return g / sqrt(x * x - 1)


@op(dtypes="float")
def atanh(be, x):
    """y = artanh x;   gx = g / (1 - x²)"""
    return be.arctanh(x)


@atanh.vjp
def _(g, x):
    return g / (1 - x * x)


@op(dtypes="float")
def hypot(be, a, b):
    """y = √(a² + b²);   ga = g a / y,  gb = g b / y"""
    return be.hypot(a, b)


@hypot.vjp
def _(g, y, a, b):
    return g * (a / y), g * (b / y)


@op(dtypes="float")
def sinc(be, x):
    """y = sinc(x);   gx = [x != 0] g (cos(πx) - y) / x"""
    return be.sinc(x)


@sinc.vjp
def _(g, y, x):
    return g * where(x == 0, 0.0, (cos(math.pi * x) - y) / where(x == 0, 1.0, x))


@op(dtypes="float")
def deg2rad(be, x):
    """y = x π / 180;   gx = g π / 180"""
    return x * (math.pi / 180)


@deg2rad.vjp
def _(g):
    return g * (math.pi / 180)


@op(dtypes="float")
def rad2deg(be, x):
    """y = x 180 / π;   gx = g 180 / π"""
    return x * (180 / math.pi)


@rad2deg.vjp
def _(g):
    return g * (180 / math.pi)


ALIASES: dict[str, Any] = {
    "arcsin": asin, "arccos": acos, "arctan": atan, "arctan2": atan2,
    "arcsinh": asinh, "arccosh": acosh, "arctanh": atanh,
}  # fmt: skip
arcsin, arccos, arctan, arctan2 = asin, acos, atan, atan2
arcsinh, arccosh, arctanh = asinh, acosh, atanh

methods(sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, asinh, acosh, atanh, hypot, sinc)
methods(deg2rad, rad2deg)
for _name, _function in ALIASES.items():
    setattr(Tensor, _name, getattr(Tensor, _function.name))
