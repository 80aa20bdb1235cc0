"""Values written to places that index tensors name, out of place and in place."""

from __future__ import annotations

from typing import Any

from .. import backend
from ..autograd.op import op
from ..autograd.placement import placed
from ..errors import ArgumentError, DTypeError, RangeError
from ..tensor import Tensor, methods, wrap
from .arguments import axis, raw
from .create import full_like, ones_like
from .gather import _gather, checked_index, fitting, places
from .indexing import _getitem, _setitem, check_range, prepared
from .inplace import _in_place
from .select import where

__all__ = [
    "index_add", "index_copy", "index_fill", "index_put", "masked_fill", "masked_scatter",
    "scatter", "scatter_add", "scatter_reduce",
]  # fmt: skip


@op(dtypes="same")
def _scatter(be, x, src, *, index, dim):
    """y = replaced(x, src, index, dim);   gx = replaced(g, 0, index, dim),
    gsrc = grown(gathered(g, index, dim), src_shape)"""
    y = x.copy()
    y[places(be, index, dim)] = src[tuple([slice(n) for n in index.shape])]
    return y


@_scatter.vjp
def _(g, src_shape, needs, *, index, dim):
    from .padding import grown

    gx = _scatter(g, full_like(raw_like(g, index), 0), index=index, dim=dim) if needs[0] else None
    gsrc = grown(_gather(g, index=index, dim=dim), src_shape) if needs[1] else None
    return gx, gsrc


def raw_like(g: Any, index: Any) -> Any:
    """Something of index's shape in g's dtype and kind."""
    array = backend.near(index).zeros(index.shape, g.dtype)
    return wrap(array) if isinstance(g, Tensor) else array


@op(dtypes="same")
def _scatter_add(be, x, src, *, index, dim):
    """y = x + scattered(src, index, dim, x_shape);
    gx = g,  gsrc = grown(gathered(g, index, dim), src_shape)"""
    y = x.copy()
    be.scatter_sum(y, places(be, index, dim), src[tuple([slice(n) for n in index.shape])])
    return y


@_scatter_add.vjp
def _(g, src_shape, needs, *, index, dim):
    from .padding import grown

    return g, grown(_gather(g, index=index, dim=dim), src_shape) if needs[1] else None


def _source(input: Any, index: Any, src: Any) -> Any:
    """A number as a source of index's shape."""
    if isinstance(src, Tensor) or hasattr(src, "shape"):
        return src
    return full_like(raw_like(input, index), src)


def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    """input with result[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number."""
    i = axis(dim, input.ndim)
    array = fitting(input, i, index, "scatter")
    source = _source(input, array, value if src is None else src)
    if reduce is not None:
        kinds = {"add": "sum", "multiply": "prod"}
        if reduce not in kinds:
            raise ArgumentError(f"expected reduce 'add' or 'multiply', got {reduce!r}")
        return scatter_reduce(input, i, index, source, kinds[reduce])
    return _scatter(input, source, index=array, dim=i)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """input with src added at the places; those that come several times count every time."""
    i = axis(dim, input.ndim)
    return _scatter_add(input, src, index=fitting(input, i, index, "scatter_add"), dim=i)


REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """input with all that is scattered to a place combined: sum, prod, mean, amax or amin."""
    if reduce not in REDUCTIONS:
        raise ArgumentError(f"expected reduce of {', '.join(REDUCTIONS)}, got {reduce!r}")
    i = axis(dim, input.ndim)
    array = fitting(input, i, index, "scatter_reduce")
    used = src[tuple([slice(n) for n in array.shape])]
    if reduce in ("sum", "mean"):
        return _scatter_mean(input, used, array, i, reduce, include_self)
    start = {"prod": 1.0, "amax": -float("inf"), "amin": float("inf")}[reduce]
    base = input if include_self else _scatter(input, full_like(used, start), index=array, dim=i)
    return _combine(base, used, index=array, dim=i, reduce=reduce)


def _scatter_mean(x: Any, src: Any, index: Any, dim: int, reduce: str, include_self: bool) -> Any:
    base = x if include_self else _scatter(x, full_like(src, 0), index=index, dim=dim)
    total = _scatter_add(base, src, index=index, dim=dim)
    if reduce == "sum":
        return total
    ones = (
        ones_like(x)
        if include_self
        else _scatter(ones_like(x), full_like(src, 0), index=index, dim=dim)
    )
    count = _scatter_add(ones, ones_like(src), index=index, dim=dim)
    return total / where(count == 0, 1.0, count)


@op(dtypes="same")
def _combine(be, x, src, *, index, dim, reduce):
    """y = combined(x, src, index, dim, reduce);   gx = g part(x, y, c, reduce),
    gsrc = gathered(g, index, dim) part(src, gathered(y, index, dim), d, reduce),
    c = ties(x, src, y, index, dim),  d = gathered(c, index, dim)

    The product or extreme of x and all src at a place; an extreme's g is shared by those that are.
    """
    y = x.copy()
    be.combine_at(y, places(be, index, dim), src, reduce)
    return y


@_combine.vjp
def _(g, y, x, src, *, index, dim, reduce):
    at = {"index": index, "dim": dim}
    if reduce == "prod":
        return g * y / x, _gather(g * y, **at) / src
    own, others = x == y, src == _gather(y, **at)
    one = ones_like(x)
    own, others = where(own, one, 0.0), where(others, ones_like(src), 0.0)
    share = g / _scatter_add(own, others, **at)
    return share * own, _gather(share, **at) * others


def _along(input: Any, dim: int, index: Any, name: str) -> tuple[Any, ...]:
    i = axis(dim, input.ndim)
    array = checked_index(index, input.shape[i], name).reshape(-1)
    return (slice(None),) * i + (backend.beside(raw(input), array),)


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """input with a number in the slices at the indices."""
    return _setitem(input, value, index=_along(input, dim, index, "index_fill"))


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """input with the slices at the indices taken from source."""
    return _setitem(input, source, index=_along(input, dim, index, "index_copy"))


@op(dtypes="promote")
def _additem(be, x, v, *, index):
    """y = x + put(v, index, x_shape);   gx = g,  gv = g[index]"""
    y = x.copy()
    be.scatter_sum(y, index, v)
    return y


@_additem.vjp
def _(g, v_shape, needs, *, index):
    return g, _getitem(g, index=index) if needs[1] else None


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """input with alpha source added to the slices at the indices."""
    value = source if alpha == 1 else source * alpha
    return _additem(input, value, index=_along(input, dim, index, "index_add"))


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """input with values at x[indices], or added there."""
    index = prepared(tuple(indices), raw(input))
    try:
        if type(raw(input)) is not backend.numpy.ndarray:
            check_range(raw(input), index)
        return (_additem if accumulate else _setitem)(input, values, index=index)
    except IndexError as error:
        raise RangeError(f"index_put on shape {tuple(input.shape)}: {error}") from None


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """input with a number where the mask holds."""
    if raw(mask).dtype.kind != "b":
        raise DTypeError(
            f"masked_fill expects a boolean mask, got {raw(mask).dtype}", "mask.bool()"
        )
    filled = value.to(input.dtype) if isinstance(value, Tensor) else value
    return where(mask, filled, input)


@placed
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """input with the mask's places filled from source in order."""
    from .shape import broadcast_to, ravel

    mask = backend.beside(raw(input), raw(mask))
    wide = backend.of(mask).broadcast_to(mask, tuple(input.shape))
    count = int(wide.sum())
    return _setitem(broadcast_to(input, wide.shape), ravel(source)[:count], index=wide)


@placed
def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """(…, classes) with 1 at each label and 0 elsewhere, as integers."""
    labels = raw(tensor)
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"one_hot expects integer labels, got {labels.dtype}", "labels.long()")
    classes = int(labels.max()) + 1 if num_classes == -1 else num_classes
    checked_index(labels, classes, "one_hot")
    return wrap((labels[..., None] == backend.of(labels).arange(classes)).astype("int64"))


for _function in (
    index_add, index_copy, index_fill, index_put, masked_fill, masked_scatter, scatter,
    scatter_add, scatter_reduce,
):  # fmt: skip
    _in_place(_function.__name__, _function)
methods(index_add, index_copy, index_fill, index_put, masked_fill, masked_scatter, scatter)
methods(scatter_add, scatter_reduce)
