"""Elements chosen by index tensors."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..autograd.placement import placed
from ..backend.capture import may_wait
from ..errors import DTypeError, RangeError, ShapeError
from ..tensor import Tensor, methods, wrap
from .arguments import axis, numbers, raw
from .indexing import _getitem
from .shape import broadcast_shapes, ravel, reshape

__all__ = [
    "argwhere", "bucketize", "gather", "index_select", "masked_select", "nonzero", "searchsorted",
    "take", "take_along_dim",
]  # fmt: skip


@op
def _gather(be, x, *, index, dim):
    """y = gathered(x, index, dim);   gx = scattered(g, index, dim, x_shape)

    y[i, j] = x[index[i, j], j] for dim 0; gx is zeros with g added at those places.
    """
    return x[places(be, index, dim)]


@_gather.vjp
def _(g, x_shape, *, index, dim):
    return _scatter_sum(g, index=index, dim=dim, shape=x_shape)


@op
def _scatter_sum(be, x, *, index, dim, shape):
    """y = scattered(x, index, dim, shape);   gx = grown(gathered(g, index, dim), x_shape)

    Zeros with x added at index along dim.
    """
    y = be.zeros(shape, x.dtype)
    where = places(be, index, dim)
    be.scatter_sum(y, where, x[tuple([slice(n) for n in index.shape])])
    return y


@_scatter_sum.vjp
def _(g, x_shape, *, index, dim):
    from .padding import grown

    return grown(_gather(g, index=index, dim=dim), x_shape)


def places(be: Any, index: Any, dim: int) -> tuple[Any, ...]:
    """The full index of gather and scatter: `index` along dim, its own places elsewhere."""
    grid = list(be.ogrid[tuple([slice(n) for n in index.shape])])
    grid[dim] = index
    return tuple(grid)


@placed
def checked_index(index: Any, size: int, name: str) -> Any:
    """Index values as an array of integers in [0, size); RangeError and DTypeError otherwise."""
    array = raw(index)
    if array.dtype.kind not in "iu":
        raise DTypeError(f"{name} expects integer indices, got {array.dtype}", "index.long()")
    wrong = (array < 0) | (array >= size)
    if may_wait() and wrong.any():
        raise RangeError(f"{name}: index {int(array[wrong][0])} is out of range for size {size}")
    return array


def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """result[i][j] = input[index[i][j]][j] for dim 0, and so on; the result has index's shape."""
    i = axis(dim, input.ndim)
    array = fitting(input, i, index, "gather")
    if not input.ndim:
        return reshape(_gather(reshape(input, (1,)), index=array.reshape(-1), dim=0), array.shape)
    return _gather(input, index=array, dim=i)


def fitting(x: Any, dim: int, index: Any, name: str) -> Any:
    """An index tensor checked against the tensor it chooses from."""
    array = raw(index)
    if type(array) is not type(raw(x)) and type(raw(x)) in backend.TABLE:
        raise backend.apart([raw(x), array])
    if max(array.ndim, 1) != max(x.ndim, 1):
        raise ShapeError(f"{name} expects an index of {x.ndim} dimensions, got {array.ndim}")
    for i, (n, limit) in enumerate(zip(array.shape, x.shape)):
        if i != dim and n > limit:
            raise ShapeError(
                f"{name}: an index of shape {array.shape} reaches beyond {tuple(x.shape)} "
                f"in dimension {i}"
            )
    return checked_index(array, x.shape[dim] if x.ndim else 1, name)


def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of `input` at the indices along dim."""
    i = axis(dim, input.ndim)
    array = checked_index(index, input.shape[i] if input.ndim else 1, "index_select").reshape(-1)
    array = backend.beside(raw(input), array)
    if not input.ndim:
        return input
    return _getitem(input, index=(slice(None),) * i + (array,))


@placed
def take(input: Any, index: Any) -> Any:
    """Elements of the flattened tensor."""
    array, size = raw(index), max(ravel(input).shape[0], 0)
    checked_index(
        array % max(size, 1) if ((array >= -size) & (array < size)).all() else array, size, "take"
    )
    return _getitem(ravel(input), index=backend.beside(raw(input), array))


@placed
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """As gather, with broadcasting; without dim in the flattened tensor."""
    if dim is None:
        return gather(ravel(input), 0, raw(indices).reshape(-1))
    i, array = axis(dim, input.ndim), raw(indices)
    shape = broadcast_shapes(
        tuple(input.shape[:i]) + (1,) + tuple(input.shape[i + 1 :]),
        tuple(array.shape[:i]) + (1,) + tuple(array.shape[i + 1 :]),
    )
    wide = [*shape]
    wide[i] = array.shape[i]
    from .shape import broadcast_to

    full = broadcast_to(input, (*shape[:i], input.shape[i], *shape[i + 1 :]))
    return gather(full, i, backend.of(array).broadcast_to(array, tuple(wide)))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where the mask holds, as a vector."""
    from .shape import broadcast_tensors, broadcast_to

    if raw(mask).dtype.kind != "b":
        raise DTypeError(f"masked_select expects a boolean mask, got {raw(mask).dtype}")
    if isinstance(mask, Tensor):
        mask = broadcast_tensors(mask, input.detach())[0]
    return _getitem(broadcast_to(input, mask.shape), index=raw(mask))


@placed
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The indices of elements that are not zero: (count, dims), or one vector per dimension."""
    array = numbers(input)
    be = backend.of(array)
    found = array.nonzero() if input.ndim else array.reshape(1).nonzero()[:0]
    if as_tuple:
        return tuple([wrap(v) for v in (found if input.ndim else array.reshape(1).nonzero())])
    if not input.ndim:
        return wrap(be.zeros((int(bool(input)), 0), "int64"))
    return wrap(be.stack(found, axis=1))


def argwhere(input: Any) -> Any:
    """The indices of elements that are not zero, a row each."""
    return nonzero(input)


@placed
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> Any:
    """Where each value would be inserted to keep the last dimension in order."""
    table, values = numbers(sorted_sequence), numbers(input)
    be = backend.of(table)
    values = be.as_array(values)
    way = side or ("right" if right else "left")
    if table.ndim == 1:
        found = be.searchsorted(table, values, way)
    else:
        rows = zip(
            table.reshape(-1, table.shape[-1]), values.reshape(-1, values.shape[-1]), strict=True
        )
        found = be.stack([be.searchsorted(a, v, way) for a, v in rows]).reshape(values.shape)
    return wrap(be.as_array(found).astype("int32" if out_int32 else "int64"))


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """Which bucket between the boundaries each value falls into."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


methods(argwhere, gather, index_select, masked_select, nonzero, take, take_along_dim)
