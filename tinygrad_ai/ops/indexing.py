"""x[...] and x[...] = v, as NumPy and PyTorch do them."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..autograd.placement import placed
from ..backend.capture import may_wait
from ..errors import ArgumentError, RangeError, ShapeError
from ..tensor import Tensor, method
from .arguments import raw

__all__: list[str] = []


@op(view=True)
def _getitem(be, x, *, index):
    """y = x[index];   gx = put(g, index, x_shape)"""
    return x[index]


@_getitem.vjp
def _(g, x_shape, *, index):
    return _putitem(g, index=index, shape=x_shape)


@op
def _putitem(be, x, *, index, shape):
    """y = put(x, index, shape);   gx = g[index]"""
    y = be.zeros(shape, x.dtype)
    if is_basic(index):
        y[index] = x
    else:
        be.scatter_sum(y, index, x)
    return y


@_putitem.vjp
def _(g, *, index):
    return _getitem(g, index=index)


@op(dtypes="promote")
def _setitem(be, x, v, *, index):
    """y = assigned(x, index, v);   gx = assigned(g, index, 0),  gv = g[index]"""
    y = x.copy()
    y[index] = v
    return y


@_setitem.vjp
def _(g, v_shape, needs, *, index):
    from ..autograd.broadcast import sum_to

    gx = _setitem(g, 0.0, index=index) if needs[0] else None
    gv = trimmed(_getitem(g, index=index), v_shape) if needs[1] else None
    return gx, gv if gv is None else sum_to(gv, shape=v_shape)


def trimmed(g: Any, shape: tuple[int, ...]) -> Any:
    """NumPy lets a value have leading size-1 dimensions its place does not have."""
    extra = len(shape) - g.ndim
    return g if extra <= 0 else g.reshape((1,) * extra + tuple(g.shape))


def is_basic(index: Any) -> bool:
    """Whether an index selects each element at most once, as slices and integers do."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(
        [p is None or p is Ellipsis or isinstance(p, (int, slice)) for p in parts]
    ) and not any([isinstance(p, bool) for p in parts])


def prepared(index: Any, like: Any) -> Any:
    """An index as NumPy takes it: Tensors unwrapped, lists as arrays, negative steps refused, and
    all of it beside the array it shall choose from."""
    if isinstance(index, tuple):
        return tuple([_part(p, like) for p in index])
    return _part(index, like)


def _part(part: Any, like: Any) -> Any:
    if part is None or part is Ellipsis or type(part) is int:
        return part
    if isinstance(part, slice):
        start, stop, step = [
            raw(v).item() if isinstance(v, Tensor) else v
            for v in (part.start, part.stop, part.step)
        ]
        if step is not None and step < 1:
            raise ArgumentError(f"expected a positive step, got {step}", "use x.flip(dim)")
        return slice(start, stop, step)
    if isinstance(part, Tensor):
        array = part.array
        if array.ndim == 0 and array.dtype.kind in "iu":
            return array.item()
        return array if type(array) is type(like) else _beside(like, array)
    if isinstance(part, (list, range)):
        found = [v.array.tolist() if isinstance(v, Tensor) else v for v in part]
        return _beside(like, backend.asarray(found, None if part else "int64"))
    return _beside(like, part) if backend.is_array(part) and type(part) is not type(like) else part


def _beside(like: Any, array: Any) -> Any:
    """Indices from the CPU go everywhere, as in PyTorch; those on a GPU only to their own."""
    if type(array) is type(like) or type(like) not in backend.TABLE:
        return array
    if backend.of(like) is backend.numpy and type(array) in backend.TABLE:
        raise backend.apart([like, array])
    return backend.beside(like, array)


def split(index: Any, ndim: int) -> tuple[Any, Any]:
    """An index as two: integers and slices first, then arrays.

    PyTorch's integers only select, NumPy's are broadcast with the arrays and may move axes; and to
    NumPy arrays are apart even if the Ellipsis between them stands for no dimension.
    """
    parts = index if isinstance(index, tuple) else (index,)
    if is_basic(index) or not any([p is Ellipsis or isinstance(p, int) for p in parts]):
        return None, index
    taken = [_dims(p) for p in parts]
    first: list[Any] = []
    second: list[Any] = []
    for part, dims in zip(parts, taken, strict=True):
        if part is Ellipsis:
            dims = ndim - sum(taken)
        if part is Ellipsis or backend.is_array(part) or isinstance(part, bool):
            first += [slice(None)] * dims
            second += [slice(None)] * dims if part is Ellipsis else [part]
        else:
            first.append(part)
            if not isinstance(part, int):
                second.append(slice(None))
    return tuple(first), tuple(second)


def _dims(part: Any) -> int:
    """How many dimensions a part of an index takes."""
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return int(part.ndim) if backend.is_array(part) and part.dtype.kind == "b" else 1


def item(x: Any, index: Any) -> Any:
    first, second = split(index, x.ndim)
    return _getitem(x if first is None else _getitem(x, index=first), index=second)


def with_item(x: Any, value: Any, index: Any) -> Any:
    first, second = split(index, x.ndim)
    if first is None:
        return _setitem(x, value, index=index)
    inner = _setitem(_getitem(x, index=first), value, index=second)
    return _setitem(x, inner, index=first)


@placed
def check_range(array: Any, index: Any) -> None:
    """IndexError as NumPy's for an index outside its dimension: CuPy would wrap it around."""
    parts = index if isinstance(index, tuple) else (index,)
    taken, dim = [_dims(p) for p in parts], 0
    for part, dims in zip(parts, taken, strict=True):
        if part is Ellipsis:
            dims = array.ndim - sum(taken)
        elif backend.is_array(part) and part.dtype.kind in "iu" and part.size:
            size, least, most = array.shape[dim], int(part.min()), int(part.max())
            if least < -size or most >= size:
                wrong = least if least < -size else most
                raise IndexError(f"index {wrong} is out of bounds for axis {dim} with size {size}")
        dim += dims


def checked(x: Any, index: Any, work: Any) -> Any:
    """Runs `work(prepared index)` with NumPy's index errors said in our words."""
    array = raw(x)
    try:
        found = prepared(index, array)
        if type(array) is not backend.numpy.ndarray and may_wait():
            check_range(array, found)
        return work(found)
    except IndexError as error:
        raise RangeError(f"cannot index a tensor of shape {tuple(x.shape)}: {error}") from None


@method
def __getitem__(self: Tensor, index: Any) -> Any:
    return checked(self, index, lambda i: item(self, i))


@method
def __setitem__(self: Tensor, index: Any, value: Any) -> None:
    from .inplace import overwrite

    if not isinstance(value, Tensor):
        value = raw(value) if isinstance(value, (int, float, bool)) else Tensor(value)
    if isinstance(value, Tensor) and type(value.array) is not type(self.array):
        value = value.to(self.device)  # type: ignore[attr-defined]
    if isinstance(value, Tensor) and value.dtype != self.dtype:
        value = value.to(self.dtype)  # type: ignore[attr-defined]
    try:
        result = checked(self, index, lambda i: with_item(self, value, i))
    except (ValueError, ShapeError) as error:
        raise ShapeError(f"cannot assign to x[...] of shape {self.shape}: {error}") from None
    overwrite(self, result, "x[...] = v")
