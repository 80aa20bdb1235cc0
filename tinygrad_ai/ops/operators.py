"""Python's operators on Tensors. The arithmetic ones are shortcuts past the general door."""

from __future__ import annotations

from typing import Any

from ..autograd.shortcut import binary, unary
from ..errors import ShapeError
from ..tensor import Tensor
from . import arithmetic as ar
from . import compare, elementwise, matmul, rounding


def _fitting(method: Any, sign: str) -> Any:
    """The method with NumPy's broadcasting error said in our words."""

    def call(self: Tensor, other: Any) -> Any:
        try:
            return method(self, other)
        except ValueError as error:
            if not hasattr(other, "shape"):
                raise
            raise ShapeError(
                f"expected shapes that broadcast, got {self.shape} {sign} {tuple(other.shape)}"
            ) from error

    call.__doc__ = method.__doc__
    return call


def _swapped(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _plain(op: Any) -> Any:
    return lambda self, other: op(self, other)


_SHORT = {"add": ("+", ar.add), "sub": ("-", ar.sub), "mul": ("*", ar.mul), "pow": ("**", ar.pow)}
_SHORT["truediv"] = ("/", ar.true_divide)
for _name, (_sign, _op) in _SHORT.items():
    setattr(Tensor, f"__{_name}__", binary(_op))
    setattr(Tensor, f"__r{_name}__", _swapped(_op))
Tensor.__radd__, Tensor.__rmul__ = Tensor.__add__, Tensor.__mul__  # type: ignore[attr-defined,operator]
Tensor.__neg__ = unary(ar.neg)  # type: ignore[operator]
Tensor.__pos__ = lambda self: self  # type: ignore[operator]
Tensor.__abs__ = lambda self: elementwise.abs(self)  # type: ignore[operator]
Tensor.__invert__ = lambda self: compare.bitwise_not(self)  # type: ignore[operator]

for _name, _op in {
    "floordiv": rounding.floor_divide, "mod": rounding.remainder, "matmul": matmul.matmul,
    "and": compare.bitwise_and, "or": compare.bitwise_or, "xor": compare.bitwise_xor,
    "lshift": compare.bitwise_left_shift, "rshift": compare.bitwise_right_shift,
}.items():  # fmt: skip
    setattr(Tensor, f"__{_name}__", _plain(_op))
    setattr(Tensor, f"__r{_name}__", _swapped(_op))
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", _plain(getattr(compare, _name)))
