"""Special functions, from SciPy or CuPy's copy of it. Imported when first used: that takes long."""

from __future__ import annotations

import math
from importlib import import_module
from typing import Any

from .kernels import kernel


def _special(be: Any) -> Any:
    return import_module(be.scipy + ".special")


# SciPy has no float16: it answers in a wider dtype.


@kernel
def erf(be: Any, x: Any) -> Any:
    return _special(be).erf(x).astype(x.dtype, copy=False)


@kernel
def erfc(be: Any, x: Any) -> Any:
    return _special(be).erfc(x).astype(x.dtype, copy=False)


@kernel
def erfinv(be: Any, x: Any) -> Any:
    return _special(be).erfinv(x).astype(x.dtype, copy=False)


@kernel
def lgamma(be: Any, x: Any) -> Any:
    """PyTorch's value at -inf is inf."""
    y = _special(be).gammaln(x)
    return be.xp.where(x == -be.inf, be.inf, y).astype(x.dtype)


@kernel
def digamma(be: Any, x: Any) -> Any:
    """PyTorch's value at 0 is an infinity of the other sign; at negative integers NaN."""
    y = _special(be).digamma(x)
    return be.xp.where(x == 0, -be.copysign(be.inf, x), y).astype(x.dtype)


@kernel
def polygamma(be: Any, n: int, x: Any) -> Any:
    """ψₙ(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x)"""
    if n == 0:
        return be.digamma(x)
    scale = (-1.0) ** (n + 1) * math.gamma(n + 1.0)
    return (scale * _special(be).zeta(n + 1, x)).astype(x.dtype)


@kernel
def xlogy(be: Any, a: Any, b: Any) -> Any:
    return _special(be).xlogy(a, b).astype(be.xp.result_type(a, b), copy=False)
