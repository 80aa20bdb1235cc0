"""Choosing between values: where. Its condition is configuration, not an input."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..backend import dtypes
from ..tensor import Tensor, methods, wrap

__all__ = ["where"]

NUMBERS = (bool, int, float)


@op(dtypes="promote")
def select(be, a, b, *, condition):
    """y = [condition] a + [¬condition] b;   ga = [condition] g,  gb = [¬condition] g"""
    return be.where(condition, a, b)


@select.vjp
def _(g, needs, *, condition):
    ga = where(condition, g, 0.0) if needs[0] else None
    gb = where(condition, 0.0, g) if needs[1] else None
    return ga, gb


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where `condition` holds, of `other` elsewhere; all three broadcast.

    With a condition alone, the indices where it holds, as nonzero(as_tuple=True).
    """
    if input is None:
        from .gather import nonzero

        return nonzero(condition, as_tuple=True)
    mask = condition.array if isinstance(condition, Tensor) else condition
    if isinstance(condition, Tensor) and type(input) in NUMBERS and type(other) in NUMBERS:
        dtype = dtypes.result_type(input, other)
        input = wrap(backend.near(mask).full((), input, dtype))
    return select(input, other, condition=mask)


def _where(self: Tensor, condition: Any, other: Any) -> Any:
    """This tensor where the condition holds, else `other`."""
    return where(condition, self, other)


methods(where=_where)
