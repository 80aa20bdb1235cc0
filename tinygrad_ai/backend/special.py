"""Special functions, from SciPy. Imported when first used: SciPy takes long to load."""

from __future__ import annotations

from typing import Any

from .kernels import kernel


def _special() -> Any:
    from scipy import special

    return special


# SciPy has no float16: it answers in a wider dtype.


@kernel
def erf(be: Any, x: Any) -> Any:
    return _special().erf(x).astype(x.dtype, copy=False)


@kernel
def erfc(be: Any, x: Any) -> Any:
    return _special().erfc(x).astype(x.dtype, copy=False)


@kernel
def erfinv(be: Any, x: Any) -> Any:
    return _special().erfinv(x).astype(x.dtype, copy=False)


@kernel
def lgamma(be: Any, x: Any) -> Any:
    """PyTorch's value at -inf is inf."""
    y = _special().gammaln(x)
    return be.xp.where(x == -be.inf, be.inf, y).astype(x.dtype)


@kernel
def digamma(be: Any, x: Any) -> Any:
    """PyTorch's value at 0 is an infinity of the other sign; at negative integers NaN."""
    y = _special().digamma(x)
    return be.xp.where(x == 0, -be.copysign(be.inf, x), y).astype(x.dtype)


@kernel
def polygamma(be: Any, n: int, x: Any) -> Any:
    """ψₙ(x) = (-1)ⁿ⁺¹ n! ζ(n + 1, x)"""
    special = _special()
    if n == 0:
        return be.digamma(x)
    return (((-1.0) ** (n + 1)) * special.gamma(n + 1.0) * special.zeta(n + 1, x)).astype(x.dtype)


@kernel
def xlogy(be: Any, a: Any, b: Any) -> Any:
    return _special().xlogy(a, b).astype(be.xp.result_type(a, b), copy=False)
