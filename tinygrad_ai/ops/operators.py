"""Python's operators on Tensors. The arithmetic ones are shortcuts past the general door."""

from __future__ import annotations

from typing import Any

from ..autograd.shortcut import binary, unary
from ..tensor import Tensor, method
from . import arithmetic as ar

Tensor.__add__ = binary(ar.add)  # type: ignore[operator]
Tensor.__sub__ = binary(ar.sub)  # type: ignore[operator]
Tensor.__mul__ = binary(ar.mul)  # type: ignore[operator]
Tensor.__truediv__ = binary(ar.true_divide)  # type: ignore[operator]
Tensor.__pow__ = binary(ar.pow)  # type: ignore[operator]
Tensor.__neg__ = unary(ar.neg)  # type: ignore[operator]
Tensor.__radd__ = Tensor.__add__  # type: ignore[attr-defined]
Tensor.__rmul__ = Tensor.__mul__  # type: ignore[attr-defined]


@method
def __rsub__(self: Tensor, other: Any) -> Any:
    return ar.sub(other, self)


@method
def __rtruediv__(self: Tensor, other: Any) -> Any:
    return ar.true_divide(other, self)


@method
def __rpow__(self: Tensor, other: Any) -> Any:
    return ar.pow(other, self)
