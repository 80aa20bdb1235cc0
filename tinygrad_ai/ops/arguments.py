"""What arguments of shape functions mean: dimensions, sizes, and raw arrays behind Tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend.dtypes import float32, is_bfloat16
from ..errors import ArgumentError, RangeError, ShapeError
from ..tensor import Tensor


def axis(dim: Any, ndim: int) -> int:
    """One dimension as 0 <= axis < ndim; RangeError otherwise (a 0-d tensor has dimension 0)."""
    limit = max(ndim, 1)
    if not -limit <= dim < limit:
        raise RangeError(
            f"expected a dimension from {-limit} to {limit - 1} for {ndim} dimensions, got {dim}"
        )
    return int(dim) % limit


def axes(dim: Any, ndim: int) -> tuple[int, ...]:
    """Dimensions as a sorted tuple of axes; None or () means all of them."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return tuple(range(ndim))
    found = [axis(d, ndim) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))]
    if len(set(found)) < len(found):
        raise ArgumentError(f"expected each dimension once, got {tuple(dim)}")
    return tuple(sorted(found)) if ndim else ()


def sizes(shape: Sequence[Any]) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence: f(2, 3) and f((2, 3)) are the same."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    return tuple([int(n) for n in shape])


def resolved(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """A shape with its -1 worked out for `count` elements; ShapeError if it does not fit."""
    known = math.prod([n for n in shape if n != -1])
    fits = count == known if -1 not in shape else known and count % known == 0
    if not fits or min(shape, default=0) < -1 or shape.count(-1) > 1:
        raise ShapeError(f"expected a shape for {count} elements, got {shape}")
    return tuple([count // known if n == -1 else n for n in shape])


def raw(value: Any) -> Any:
    """The array behind a Tensor; anything else as it is."""
    return value.array if isinstance(value, Tensor) else value


def numbers(value: Any) -> Any:
    """The array behind a Tensor, for what is no op, as sorting: of a dtype that NumPy and CuPy know
    all about, so of bfloat16 in float32."""
    array = raw(value)
    if hasattr(array, "dtype") and is_bfloat16(array.dtype):
        return array.astype(float32)
    return array


def kept(shape: tuple[int, ...], dim: tuple[int, ...]) -> tuple[int, ...]:
    """The shape after a reduction over `dim` that keeps the dimensions."""
    return tuple([1 if i in dim else n for i, n in enumerate(shape)])
