"""Integers near a number, and division with a remainder."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..errors import ArgumentError
from ..tensor import Tensor, methods
from . import arithmetic as ar
from .create import zeros_like

__all__ = [
    "ceil", "div", "divide", "fix", "floor", "floor_divide", "fmod", "frac", "remainder", "round",
    "trunc",
]  # fmt: skip


@op
def floor(be, x):
    """y = floor x;   gx = 0"""
    return be.floor(x) if x.dtype.kind == "f" else x


@op
def ceil(be, x):
    """y = ceil x;   gx = 0"""
    return be.ceil(x) if x.dtype.kind == "f" else x


@op
def trunc(be, x):
    """y = trunc x;   gx = 0"""
    return be.trunc(x) if x.dtype.kind == "f" else x


@op
def _round(be, x, *, decimals):
    """y = round(x, decimals);   gx = 0"""
    return be.round(x, decimals) if x.dtype.kind == "f" else x


for _flat in (floor, ceil, trunc, _round):

    @_flat.vjp
    def _(g):
        return zeros_like(g)


def round(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest integer or decimal, ties to even."""
    return _round(input, decimals=decimals)


@op
def frac(be, x):
    """y = x - trunc x;   gx = g"""
    return x - be.trunc(x)


@frac.vjp
def _(g):
    return g


@op(dtypes="promote")
def _floor_div(be, a, b):
    """y = floor (a / b);   ga = 0,  gb = 0"""
    return be.floor_divide(a, b)


@op(dtypes="promote")
def _trunc_div(be, a, b):
    """y = trunc (a / b);   ga = 0,  gb = 0"""
    y = be.trunc(a / b)
    return y.astype(be.result_type(a, b))


for _flat in (_floor_div, _trunc_div):

    @_flat.vjp
    def _(g):
        return zeros_like(g), zeros_like(g)


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other: exact, or rounded towards zero ("trunc") or down ("floor")."""
    ops = {None: ar.true_divide, "floor": _floor_div, "trunc": _trunc_div}
    if rounding_mode not in ops:
        raise ArgumentError(
            f"expected rounding_mode None, 'trunc' or 'floor', got {rounding_mode!r}"
        )
    return ops[rounding_mode](input, other)


def floor_divide(input: Any, other: Any) -> Any:
    """input / other rounded down."""
    return _floor_div(input, other)


@op(dtypes="promote")
def remainder(be, a, b):
    """y = a - b floor(a / b);   ga = g,  gb = -g floor(a / b)"""
    return be.remainder(a, b)


@remainder.vjp
def _(g, a, b, needs):
    return g, -g * floor_divide(a, b) if needs[1] else None


@op(dtypes="promote")
def fmod(be, a, b):
    """y = a - b trunc(a / b);   ga = g,  gb = -g trunc(a / b)"""
    return be.fmod(a, b)


@fmod.vjp
def _(g, a, b, needs):
    return g, -g * trunc(a / b) if needs[1] else None


divide, fix = div, trunc
methods(ceil, div, floor, floor_divide, fmod, frac, remainder, round, trunc)
methods(divide=div)
methods(fix=Tensor.trunc)
