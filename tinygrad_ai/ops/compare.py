"""Comparisons, logic and bits. None of them has a derivative."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..autograd.placement import placed
from ..errors import DTypeError
from ..tensor import Tensor, methods
from .arguments import raw

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "eq", "equal", "ge", "greater", "greater_equal", "gt",
    "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "le", "less",
    "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne",
    "not_equal", "signbit",
]  # fmt: skip


@op(dtypes="promote")
def eq(be, a, b):
    """y = a == b"""
    return be.equal(a, b)


@op(dtypes="promote")
def ne(be, a, b):
    """y = a != b"""
    return be.not_equal(a, b)


@op(dtypes="promote")
def lt(be, a, b):
    """y = a < b"""
    return be.less(a, b)


@op(dtypes="promote")
def le(be, a, b):
    """y = a <= b"""
    return be.less_equal(a, b)


@op(dtypes="promote")
def gt(be, a, b):
    """y = a > b"""
    return be.greater(a, b)


@op(dtypes="promote")
def ge(be, a, b):
    """y = a >= b"""
    return be.greater_equal(a, b)


@op
def isnan(be, x):
    """y = whether x is NaN"""
    return be.isnan(x)


@op
def isinf(be, x):
    """y = whether x is infinite"""
    return be.isinf(x)


@op
def isfinite(be, x):
    """y = whether x is neither infinite nor NaN"""
    return be.isfinite(x)


@op
def isposinf(be, x):
    """y = whether x is +inf"""
    return x == float("inf")


@op
def isneginf(be, x):
    """y = whether x is -inf"""
    return x == -float("inf")


@op
def signbit(be, x):
    """y = whether x has a minus sign, -0.0 included"""
    return be.signbit(x) if x.dtype.kind == "f" else x < 0


@op
def logical_not(be, x):
    """y = x is 0"""
    return be.logical_not(x)


@op
def logical_and(be, a, b):
    """y = a and b are both not 0"""
    return be.logical_and(a, b)


@op
def logical_or(be, a, b):
    """y = a or b is not 0"""
    return be.logical_or(a, b)


@op
def logical_xor(be, a, b):
    """y = exactly one of a and b is not 0"""
    return be.logical_xor(a, b)


@op(dtypes="promote")
def bitwise_and(be, a, b):
    """y = a & b"""
    return be.bitwise_and(a, b)


@op(dtypes="promote")
def bitwise_or(be, a, b):
    """y = a | b"""
    return be.bitwise_or(a, b)


@op(dtypes="promote")
def bitwise_xor(be, a, b):
    """y = a ^ b"""
    return be.bitwise_xor(a, b)


@op
def bitwise_not(be, x):
    """y = ~x"""
    if x.dtype.kind not in "bui":
        raise DTypeError(f"~ expects booleans or integers, got {x.dtype}")
    return be.invert(x)


@op(dtypes="promote")
def bitwise_left_shift(be, a, b):
    """y = a << b"""
    return be.left_shift(a, b)


@op(dtypes="promote")
def bitwise_right_shift(be, a, b):
    """y = a >> b"""
    return be.right_shift(a, b)


@op
def _isclose(be, a, b, *, rtol, atol, equal_nan):
    """y = |a - b| <= atol + rtol |b|"""
    return be.isclose(a, b, rtol, atol, equal_nan)


@op
def _isin(be, x, values, *, invert):
    """y = whether x is one of values"""
    return be.isin(x, values, invert=invert)


def isclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    """Where |input - other| <= atol + rtol |other|; DTypeError for different dtypes."""
    if input.dtype != other.dtype:
        raise DTypeError(
            f"isclose expected one dtype, got {input.dtype} and {other.dtype}", "x.to(other.dtype)"
        )
    return _isclose(input, other, rtol=rtol, atol=atol, equal_nan=equal_nan)


@placed
def allclose(
    input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, see isclose."""
    return bool(raw(isclose(input, other, rtol, atol, equal_nan)).all())


@placed
def equal(input: Any, other: Any) -> bool:
    """Whether shapes and all elements are the same."""
    return input.shape == other.shape and bool(raw(eq(input, other)).all())


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Which elements are among the test elements."""
    return _isin(elements, test_elements, invert=invert)


not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
methods(allclose, bitwise_and, bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift)
methods(bitwise_xor, eq, equal, ge, gt, isclose, isfinite, isinf, isnan, isneginf, isposinf, le)
methods(logical_and, logical_not, logical_or, logical_xor, lt, ne, signbit)
for _name, _function in {
    "not_equal": ne, "less": lt, "less_equal": le, "greater": gt, "greater_equal": ge,
}.items():  # fmt: skip
    setattr(Tensor, _name, getattr(Tensor, _function.name))
