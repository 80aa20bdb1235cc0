"""Order: sorting, the largest few, medians and quantiles, and what occurs how often."""

from __future__ import annotations

import math
from typing import Any

from .. import backend
from ..autograd.op import op
from ..autograd.placement import placed
from ..backend import dtypes
from ..errors import ArgumentError, DTypeError, RangeError
from ..tensor import methods, wrap
from .arguments import axis, numbers, raw
from .gather import gather
from .reduce import Extreme, _place_along, _select_along
from .select import where
from .shape import movedim, ravel, reshape, unsqueeze

__all__ = [
    "argsort", "bincount", "histc", "kthvalue", "median", "mode", "msort", "nanmedian",
    "nanquantile", "quantile", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip


@op
def _take_along(be, x, *, index, dim):
    """y = taken(x, index, dim);   gx = placed(g, index, dim, x_shape)"""
    return be.take_along_axis(x, index, dim)


@_take_along.vjp
def _(g, x_shape, *, index, dim):
    return _place_along(g, index=index, dim=dim, shape=x_shape)


def _order(x: Any, dim: int, descending: bool) -> Any:
    """The indices that sort x along dim, stable, NaN as the largest value."""
    array = numbers(x)
    be = backend.of(array)
    if not descending:
        return be.argsort(array, axis=dim, kind="stable")
    back = be.argsort(be.flip(array, dim), axis=dim, kind="stable")
    return be.flip(array.shape[dim] - 1 - back, dim)


def _zero(x: Any) -> Any:
    """The index of the only element."""
    return wrap(backend.of(raw(x)).zeros((), "int64"))


@placed
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Extreme:
    """Values in order along dim, and where each was. The order is always stable."""
    if not input.ndim:
        return Extreme(input[...], _zero(input))
    i = axis(dim, input.ndim)
    index = _order(input, i, descending)
    return Extreme(_take_along(input, index=index, dim=i), wrap(index))


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The indices that sort along dim."""
    return sort(input, dim, descending).indices


def msort(input: Any) -> Any:
    """Values in order along the first dimension."""
    return sort(input, 0).values


@placed
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Extreme:
    """The k largest (or smallest) along dim, in order, and where they are."""
    i = axis(dim, input.ndim)
    if not 0 <= k <= (input.shape[i] if input.ndim else 1):
        raise RangeError(
            f"topk: k = {k} is out of range for shape {tuple(input.shape)} along dim {dim}"
        )
    if not input.ndim:
        return sort(input)
    index = _order(input, i, largest)[(slice(None),) * i + (slice(k),)]
    return Extreme(_take_along(input, index=index, dim=i), wrap(index))


@placed
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The k-th smallest along dim (k from 1), and where it is."""
    i = axis(dim, input.ndim)
    if not 1 <= k <= (input.shape[i] if input.ndim else 1):
        raise RangeError(f"kthvalue: k = {k} is out of range for shape {tuple(input.shape)}")
    return _at_rank(input, backend.of(raw(input)).full(input.shape, k - 1), i, keepdim)


def _at_rank(x: Any, rank: Any, dim: int, keepdim: bool) -> Extreme:
    """The element of a rank along dim; `rank` has x's shape and is constant along dim."""
    if not x.ndim:
        return Extreme(x[...], _zero(x))
    first = (slice(None),) * dim + (slice(1),)
    order = _order(x, dim, False)
    index = backend.of(order).take_along_axis(order, rank[first].astype("int64"), dim)
    values = _select_along(x, index=index, dim=dim, keepdim=keepdim)
    return Extreme(values, wrap(index if keepdim else index.squeeze(dim)))


@placed
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median; with dim also its index. NaN if there is one."""
    if dim is None:
        return median(ravel(input), 0)[0] if input.numel() else input.sum() * math.nan
    i, array = axis(dim, input.ndim), numbers(input)
    if not array.ndim:
        return _at_rank(input, None, i, keepdim)
    size = array.shape[i]
    known = (array == array).sum(axis=i, keepdims=True)
    be = backend.of(array)
    rank = be.where(known < size, known, (size - 1) // 2)  # NaN sorts last
    return _at_rank(input, be.broadcast_to(rank, array.shape), i, keepdim)


@placed
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of what is not NaN; with dim also its index."""
    if dim is None:
        return nanmedian(ravel(input), 0)[0] if input.numel() else input.sum() * math.nan
    i, array = axis(dim, input.ndim), numbers(input)
    if not array.ndim:
        return _at_rank(input, None, i, keepdim)
    count = (array == array).sum(axis=i, keepdims=True)
    be = backend.of(array)
    rank = be.maximum(count - 1, 0) // 2
    return _at_rank(input, be.broadcast_to(rank, array.shape), i, keepdim)


@placed
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Extreme:
    """The most frequent value along dim (the smallest of several), and where it was last."""
    if not input.ndim:
        return Extreme(input, _zero(input))
    i, array = axis(dim, input.ndim), numbers(input)
    be = backend.of(array)
    rows = be.moveaxis(array, i, -1)
    flat = rows.reshape(-1, rows.shape[-1])
    picks = []
    for values in flat:
        found, counts = be.unique(values, return_counts=True)
        picks.append(int(be.flatnonzero(values == found[counts.argmax()])[-1]))
    index = backend.asarray(picks, "int64").reshape((*rows.shape[:-1], 1))
    index = be.moveaxis(backend.beside(array, index), -1, i)
    values = _select_along(input, index=index, dim=i, keepdim=keepdim)
    return Extreme(values, wrap(index if keepdim else index.squeeze(i)))


WAYS = ("linear", "lower", "higher", "midpoint", "nearest")


def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The q-quantiles along dim (or of all elements): values between two are interpolated."""
    return _quantile(input, q, dim, keepdim, interpolation, ignore_nan=False)


def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """As quantile, of what is not NaN."""
    return _quantile(input, q, dim, keepdim, interpolation, ignore_nan=True)


@placed
def _quantile(x: Any, q: Any, dim: Any, keepdim: bool, way: str, ignore_nan: bool) -> Any:
    if way not in WAYS:
        raise ArgumentError(f"expected interpolation of {', '.join(WAYS)}, got {way!r}")
    be, share = (
        backend.of(raw(x)),
        backend.beside(raw(x), numbers(backend.asarray(raw(q), x.dtype))),
    )
    if ((share < 0) | (share > 1)).any():
        raise ArgumentError("quantile expects q in [0, 1]")
    i = 0 if dim is None else axis(dim, x.ndim)
    flat = ravel(x) if dim is None else x
    ordered = movedim(sort(flat, i).values, i, -1)
    known = (numbers(ordered) == numbers(ordered)).sum(axis=-1, keepdims=True)
    if not ignore_nan:
        known = be.where(known < ordered.shape[-1], 0, known)
    place = share.reshape(-1) * be.maximum(known - 1, 0)
    found = _between(ordered, place, way)
    found = where(be.broadcast_to(known == 0, place.shape), float("nan"), found)
    found = movedim(found, -1, 0)  # those of several q come first
    if keepdim:
        found = reshape(found, (-1, *[1] * x.ndim)) if dim is None else unsqueeze(found, i + 1)
    return found if share.ndim else found[0]


def _between(ordered: Any, place: Any, way: str) -> Any:
    """Values at fractional places along the last axis."""
    be, last = backend.of(place), ordered.ndim - 1
    if way == "nearest":
        return gather(ordered, last, be.round(place).astype("int64"))
    low, high = be.floor(place).astype("int64"), be.ceil(place).astype("int64")
    if way in ("lower", "higher"):
        return gather(ordered, last, low if way == "lower" else high)
    below, above = gather(ordered, last, low), gather(ordered, last, high)
    part = wrap((place - low).astype(ordered.dtype)) if way == "linear" else 0.5
    return below + (above - below) * part


def _selected(output: Any, inverse: Any, counts: Any, want_inverse: bool, want_counts: bool) -> Any:
    parts = [output] + ([inverse] if want_inverse else []) + ([counts] if want_counts else [])
    made = tuple([wrap(backend.common((p,)).as_array(p)) for p in parts])
    return made[0] if len(made) == 1 else made


@placed
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
    dim: int | None = None,
) -> Any:  # fmt: skip
    """The different values (or slices along dim) in order, and where each went, and counts."""
    array = numbers(input)
    found, inverse, counts = backend.of(array).unique(
        array, return_inverse=True, return_counts=True, axis=dim
    )
    inverse = inverse.reshape(input.shape if dim is None else -1)
    found = found.astype(input.dtype, copy=False)
    return _selected(found, inverse, counts, return_inverse, return_counts)


@placed
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Values (or slices along dim) without repetitions of the one before."""
    array = numbers(input)
    be = backend.of(array)
    rows = array.reshape(-1) if dim is None else be.moveaxis(array, dim, 0)
    changed = be.ones(len(rows), bool)
    if len(rows) > 1:
        different = rows[1:] != rows[:-1]
        changed[1:] = (
            different if different.ndim == 1 else different.reshape(len(rows) - 1, -1).any(1)
        )
    inverse, starts = changed.cumsum() - 1, be.flatnonzero(changed)
    counts = be.diff(be.append(starts, len(rows)))
    kept = rows[changed].astype(input.dtype, copy=False)
    output = kept if dim is None else be.moveaxis(kept, 0, dim)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _selected(output, inverse, counts, return_inverse, return_counts)


@placed
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each of 0, 1, 2, ... occurs, or the sum of its weights."""
    array = raw(input)
    if array.dtype.kind not in "iu" or array.ndim != 1 or (array < 0).any():
        raise DTypeError(
            f"bincount expects a vector of integers >= 0, got {array.dtype} {array.shape}"
        )
    found = backend.of(array).bincount(array, numbers(weights), minlength)
    kind = (
        dtypes.int64
        if weights is None
        else (dtypes.float64 if raw(weights).dtype != dtypes.float32 else dtypes.float32)
    )
    return wrap(found.astype(kind))


@placed
def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """Counts of values in `bins` equal intervals from min to max (the data's own if both are 0)."""
    array = numbers(input)
    low, high = (array.min(), array.max()) if min == max == 0 and array.size else (min, max)
    if low == high:
        low, high = float(low) - 1, float(high) + 1
    counts, _ = backend.of(array).histogram(array, bins, (float(low), float(high)))
    return wrap(counts.astype(input.dtype))


methods(argsort, bincount, histc, kthvalue, median, mode, msort, nanmedian, nanquantile, quantile)
methods(sort, topk, unique, unique_consecutive)
