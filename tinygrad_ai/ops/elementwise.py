"""More functions of one number or two: each op's value and derivative, side by side."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.op import op
from ..backend import dtypes
from ..errors import ArgumentError
from ..tensor import Tensor, methods
from . import arithmetic as ar
from .arithmetic import exp
from .create import zeros_like
from .select import where

__all__ = [
    "abs", "absolute", "add", "addcdiv", "addcmul", "clamp", "clamp_max", "clamp_min",
    "clip", "copysign", "exp2", "expm1", "fmax",
    "fmin", "heaviside", "lerp", "log10", "log1p", "log2", "logaddexp",
    "logaddexp2", "maximum", "minimum", "multiply", "nan_to_num", "negative", "positive",
    "reciprocal", "rsqrt", "rsub", "sgn", "sigmoid", "sign", "square", "sub",
    "subtract",
]  # fmt: skip


@op
def abs(be, x):
    """y = |x|;   gx = g sign x"""
    return be.abs(x)


@abs.vjp
def _(g, x):
    return g * sign(x)


@op
def sign(be, x):
    """y = sign x;   gx = 0"""
    return x if x.dtype.kind == "b" else (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)


@sign.vjp
def _(g):
    return zeros_like(g)


@op(dtypes="float")
def exp2(be, x):
    """y = 2ˣ;   gx = g y ln 2"""
    return be.exp2(x)


@exp2.vjp
def _(g, y):
    return g * y * math.log(2)


@op(dtypes="float")
def expm1(be, x):
    """y = eˣ - 1;   gx = g (y + 1)"""
    return be.expm1(x)


@expm1.vjp
def _(g, y):
    return g * (y + 1)


@op(dtypes="float")
def log2(be, x):
    """y = log₂ x;   gx = g / (x ln 2)"""
    return be.log2(x)


@log2.vjp
def _(g, x):
    return g / (x * math.log(2))


@op(dtypes="float")
def log10(be, x):
    """y = log₁₀ x;   gx = g / (x ln 10)"""
    return be.log10(x)


@log10.vjp
def _(g, x):
    return g / (x * math.log(10))


@op(dtypes="float")
def log1p(be, x):
    """y = ln (1 + x);   gx = g / (1 + x)"""
    return be.log1p(x)


@log1p.vjp
def _(g, x):
    return g / (1 + x)


@op(dtypes="float")
def rsqrt(be, x):
    """y = 1 / √x;   gx = -g y³ / 2"""
    return 1 / be.sqrt(x)


@rsqrt.vjp
def _(g, y):
    return -0.5 * g * y**3


@op(dtypes="float")
def reciprocal(be, x):
    """y = 1 / x;   gx = -g y²"""
    return 1 / x


@reciprocal.vjp
def _(g, y):
    return -g * y * y


@op
def square(be, x):
    """y = x²;   gx = 2 g x"""
    return x * x if x.dtype.kind != "b" else x.astype("int64")


@square.vjp
def _(g, x):
    return 2 * g * x


@op(dtypes="float")
def sigmoid(be, x):
    """y = 1 / (1 + e⁻ˣ);   gx = g y (1 - y)"""
    return be.sigmoid(x)


@sigmoid.vjp
def _(g, y):
    return g * y * (1 - y)


@op(dtypes="promote")
def maximum(be, a, b):
    """y = max(a, b);   ga = [a > b] g + [a = b] g / 2,  gb = [a < b] g + [a = b] g / 2"""
    return be.maximum(a, b)


@maximum.vjp
def _(g, a, b):
    return _larger(g, a, b), _larger(g, b, a)


@op(dtypes="promote")
def minimum(be, a, b):
    """y = min(a, b);   ga = [a < b] g + [a = b] g / 2,  gb = [a > b] g + [a = b] g / 2"""
    return be.minimum(a, b)


@minimum.vjp
def _(g, a, b):
    return _larger(g, b, a), _larger(g, a, b)


def _larger(g: Any, a: Any, b: Any) -> Any:
    """g where a is larger, half of it where both are equal; also where one is NaN."""
    return where(a == b, g / 2, where(a < b, 0.0, g))


@op(dtypes="promote")
def fmax(be, a, b):
    """y = fmax(a, b);   ga = [a >= b] g + [b != b] g,  gb = [a < b] g + [a != a] [b = b] g"""
    return be.fmax(a, b)


@fmax.vjp
def _(g, a, b):
    mask = (a >= b) | (b != b)
    return where(mask, g, 0.0), where(mask, 0.0, g)


@op(dtypes="promote")
def fmin(be, a, b):
    """y = fmin(a, b);   ga = [a <= b] g + [b != b] g,  gb = [a > b] g + [a != a] [b = b] g"""
    return be.fmin(a, b)


@fmin.vjp
def _(g, a, b):
    mask = (a <= b) | (b != b)
    return where(mask, g, 0.0), where(mask, 0.0, g)


@op(dtypes="promote")
def _clamp(be, x, low, high):
    """y = min(max(x, low), high);
    gx = [low <= x <= high] g,  glow = [x < low < high] g,  ghigh = [max(x, low) > high] g"""
    y = x if low is None else be.maximum(x, low)
    return y if high is None else be.minimum(y, high)


@_clamp.vjp
def _(g, x, low, high, needs):
    over = x > high if high is not None else x != x
    under = x < low if low is not None else x != x
    if low is not None and high is not None:
        over, under = over | (low > high), under & (low < high)
    inside = where(under | over, 0.0, g)
    return (
        inside,
        where(under, g, 0.0) if needs[1] else None,
        where(over, g, 0.0) if needs[2] else None,
    )


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Limited to [min, max]; a bound is a number, a tensor, or None."""
    if min is None and max is None:
        raise ArgumentError("clamp needs min, max or both")
    return _clamp(input, min, max)


def clamp_min(input: Any, min: Any) -> Any:
    """Numbers below min become min."""
    return clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Any:
    """Numbers above max become max."""
    return clamp(input, max=max)


@op(dtypes="promote")
def lerp(be, start, end, weight):
    """y = start + weight (end - start);
    gstart = g (1 - weight),  gend = g weight,  gweight = g (end - start)"""
    return start + weight * (end - start)


@lerp.vjp
def _(g, start, end, weight, needs):
    return g * (1 - weight), g * weight, g * (end - start) if needs[2] else None


@op(dtypes="float")
def logaddexp(be, a, b):
    """y = ln (eᵃ + eᵇ);   ga = g / (1 + eᵇ⁻ᵃ),  gb = g / (1 + eᵃ⁻ᵇ)"""
    return be.logaddexp(a, b)


@logaddexp.vjp
def _(g, a, b):
    return g / (1 + exp(b - a)), g / (1 + exp(a - b))


@op(dtypes="float")
def logaddexp2(be, a, b):
    """y = log₂ (2ᵃ + 2ᵇ);   ga = g / (1 + 2ᵇ⁻ᵃ),  gb = g / (1 + 2ᵃ⁻ᵇ)"""
    return be.logaddexp2(a, b)


@logaddexp2.vjp
def _(g, a, b):
    return g / (1 + exp2(b - a)), g / (1 + exp2(a - b))


@op(dtypes="promote")
def _addcmul(be, x, a, b, *, value):
    """y = x + value a b;   gx = g,  ga = value g b,  gb = value g a"""
    return x + value * a * b


@_addcmul.vjp
def _(g, a, b, *, value):
    return g, g * b * value, g * a * value


@op(dtypes="float")
def _addcdiv(be, x, a, b, *, value):
    """y = x + value a / b;   gx = g,  ga = value g / b,  gb = -value g a / b²"""
    return x + value * (a / b)


@_addcdiv.vjp
def _(g, a, b, *, value):
    return g, g * value / b, -g * value * a / (b * b)


def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 * tensor2"""
    return _addcmul(input, tensor1, tensor2, value=value)


def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: float = 1) -> Any:
    """input + value * tensor1 / tensor2"""
    return _addcdiv(input, tensor1, tensor2, value=value)


@op
def _nan_to_num(be, x, *, nan, posinf, neginf):
    """y = nan_to_num(x, nan, posinf, neginf);   gx = [-∞ < x < ∞] g"""
    return be.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


@_nan_to_num.vjp
def _(g, x):
    return where(x - x == 0, g, 0.0)


def nan_to_num(input: Any, nan: float | None = None, posinf: Any = None, neginf: Any = None) -> Any:
    """NaN becomes `nan` (0), infinities the largest finite values unless given."""
    if dtypes.is_bfloat16(input.dtype):  # whose largest is not float32's
        largest = float(dtypes.finfo(input.dtype).max)
        posinf = largest if posinf is None else posinf
        neginf = -largest if neginf is None else neginf
    return _nan_to_num(input, nan=nan or 0.0, posinf=posinf, neginf=neginf)


@op(dtypes="float")
def copysign(be, a, b):
    """y = copysign(a, b);   ga = [a != 0] g y / a,  gb = 0"""
    return be.copysign(a, b)


@copysign.vjp
def _(g, y, a, b):
    return g * where(a == 0, 0.0, y / a), zeros_like(g)


@op(dtypes="same")
def heaviside(be, x, values):
    """y = 0 below 0 and for NaN, `values` at 0, 1 above; not differentiable"""
    return be.xp.where(x == 0, values, (x > 0).astype(x.dtype)).astype(x.dtype)


def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input + alpha * other"""
    return ar.add(input, other if alpha == 1 else other * alpha)


def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """input - alpha * other"""
    return ar.sub(input, other if alpha == 1 else other * alpha)


def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    """other - alpha * input"""
    return ar.sub(other, input if alpha == 1 else input * alpha)


def positive(input: Any) -> Any:
    """The tensor itself: +x."""
    return input


absolute, clip, multiply, negative = abs, clamp, ar.mul, ar.neg
sgn, subtract = sign, sub
methods(abs, addcdiv, addcmul, clamp, clamp_max, clamp_min, copysign, exp2, expm1, fmax, fmin)
methods(heaviside, lerp, log10, log1p, log2, logaddexp, logaddexp2, maximum, minimum, nan_to_num)
methods(positive, reciprocal, rsqrt, sigmoid, sign, square, add, sub)
methods(ar.mul, ar.true_divide, ar.neg, ar.pow, ar.exp)
methods(ar.log, ar.sqrt, ar.tanh)
for _name, _function in {
    "absolute": abs, "clip": clamp, "multiply": ar.mul, "negative": ar.neg, "sgn": sign,
    "subtract": sub,
}.items():  # fmt: skip
    setattr(Tensor, _name, getattr(Tensor, _function.__name__))
