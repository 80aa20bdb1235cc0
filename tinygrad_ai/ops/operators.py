"""Python's operators on Tensors. The arithmetic ones are shortcuts past the general door."""

from __future__ import annotations

from typing import Any

from ..autograd.shortcut import binary, unary
from ..tensor import Tensor, methods
from . import arithmetic as ar
from . import compare, elementwise, matmul, rounding


def _swapped(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _plain(op: Any) -> Any:
    return lambda self, other: op(self, other)


_SHORT = {"add": ("+", ar.add), "sub": ("-", ar.sub), "mul": ("*", ar.mul), "pow": ("**", ar.pow)}
_SHORT["truediv"] = ("/", ar.true_divide)
for _name, (_sign, _op) in _SHORT.items():
    setattr(Tensor, f"__{_name}__", binary(_op))
    setattr(Tensor, f"__r{_name}__", _swapped(_op))
methods(__radd__=Tensor.__add__, __rmul__=Tensor.__mul__, __neg__=unary(ar.neg))
methods(__pos__=lambda self: self, __abs__=elementwise.abs, __invert__=compare.bitwise_not)

for _name, _op in {
    "floordiv": rounding.floor_divide, "mod": rounding.remainder, "matmul": matmul.matmul,
    "and": compare.bitwise_and, "or": compare.bitwise_or, "xor": compare.bitwise_xor,
    "lshift": compare.bitwise_left_shift, "rshift": compare.bitwise_right_shift,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", _plain(_op))
    setattr(Tensor, f"__r{_name}__", _swapped(_op))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _plain(getattr(compare, _name)))
