"""Sums, means, extremes: many numbers to one, along some dimensions or all."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..autograd.broadcast import broadcast_to
from ..autograd.op import op
from ..backend import dtypes
from ..errors import DTypeError, RangeError
from ..tensor import Tensor, methods
from .arguments import axes, axis, kept, raw
from .create import zeros_like
from .select import where
from .shape import reshape

__all__ = [
    "all", "amax", "amin", "aminmax", "any", "argmax", "argmin", "count_nonzero", "logsumexp",
    "max", "mean", "min", "nanmean", "nansum", "prod", "sum",
]  # fmt: skip


def spread(g: Any, shape: Any, dim: tuple[int, ...]) -> Any:
    """What a reduction over `dim` gave, broadcast back to the shape it had."""
    return broadcast_to(reshape(g, kept(shape, dim)) if g.ndim else g, shape=tuple(shape))


@op
def _sum(be, x, *, dim, keepdim):
    """y = Σ x;   gx = g"""
    return be.total(x, dim, keepdim)


@_sum.vjp
def _(g, x_shape, *, dim):
    return spread(g, x_shape, dim)


@op
def _mean(be, x, *, dim, keepdim):
    """y = (Σ x) / n;   gx = g / n"""
    count = math.prod([x.shape[d] for d in dim])
    return (be.total(x, dim, keepdim) / (count or math.nan)).astype(x.dtype, copy=False)


@_mean.vjp
def _(g, x_shape, *, dim):
    return spread(g / math.prod([x_shape[d] for d in dim]), x_shape, dim)


@op
def _prod(be, x, *, dim, keepdim):
    """y = Π x;   gx = g others(x, axis)"""
    return be.prod(x, axis=dim, keepdims=keepdim)


@_prod.vjp
def _(g, y, x, *, dim, keepdim):
    from .cumulative import product_of_others

    if raw(x).all():
        return spread(g * y, x.shape, dim) / x
    return spread(g, x.shape, dim) * product_of_others(x, dim)


@op
def _amax(be, x, *, dim, keepdim):
    """y = max x;   gx = g [x = y] / Σ [x = y]"""
    return be.max(x, axis=dim, keepdims=keepdim)


@_amax.vjp
def _(g, y, x, *, dim):
    return share(g, y, x, dim)


@op
def _amin(be, x, *, dim, keepdim):
    """y = min x;   gx = g [x = y] / Σ [x = y]"""
    return be.min(x, axis=dim, keepdims=keepdim)


@_amin.vjp
def _(g, y, x, *, dim):
    return share(g, y, x, dim)


def share(g: Any, y: Any, x: Any, dim: tuple[int, ...]) -> Any:
    """g divided among the elements equal to y; no gradient flows through the choice of them."""
    best = spread(raw(y), x.shape, dim)
    mask = (raw(x) == best) | ((raw(x) != raw(x)) & (best != best))
    count = _sum(mask.astype(raw(x).dtype), dim=dim, keepdim=True)
    return where(mask, spread(g, x.shape, dim) / broadcast_to(count, shape=tuple(x.shape)), 0.0)


@op
def _select_along(be, x, *, index, dim, keepdim):
    """y = taken(x, index, dim);   gx = placed(g, index, dim, x_shape)"""
    y = be.take_along_axis(x, index, dim)
    return y if keepdim else y.squeeze(dim)


@_select_along.vjp
def _(g, x_shape, *, index, dim):
    return _place_along(reshape(g, index.shape), index=index, dim=dim, shape=x_shape)


@op
def _place_along(be, x, *, index, dim, shape):
    """y = placed(x, index, dim, shape);   gx = taken(g, index, dim)"""
    y = be.zeros(shape, x.dtype)
    be.put_along_axis(y, index, x, dim)
    return y


@_place_along.vjp
def _(g, *, index, dim):
    return _select_along(g, index=index, dim=dim, keepdim=True)


class Extreme(NamedTuple):
    """What max, min, median, ... along one dimension give."""

    values: Any
    indices: Any


class MinMax(NamedTuple):
    min: Any
    max: Any


def picked(x: Any, index: Any, dim: int, keepdim: bool) -> Extreme:
    """Values of x at one index along dim, differentiable, with the index itself."""
    values = _select_along(x, index=raw(index), dim=dim, keepdim=keepdim)
    return Extreme(values, index if keepdim else reshape(index, values.shape))


def sum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over dim, a tuple of dims, or everything. Integers and bools sum to int64."""
    x = _accumulator(input, dtype)
    return _sum(x, dim=axes(dim, input.ndim), keepdim=keepdim)


def _accumulator(x: Any, dtype: Any) -> Any:
    if dtype is None and dtypes.category(x.dtype) < 2:
        dtype = dtypes.int64
    return x if dtype is None or x.dtype == dtype else x.to(dtype)


def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over dim, a tuple of dims, or everything; floating-point tensors only."""
    x = input if dtype is None else input.to(dtype)
    if dtypes.category(x.dtype) < 2:
        raise DTypeError(f"mean expects a floating-point tensor, got {x.dtype}", "x.float().mean()")
    return _mean(x, dim=axes(dim, x.ndim), keepdim=keepdim)


def prod(input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product over dim or everything."""
    return _prod(_accumulator(input, dtype), dim=axes(dim, input.ndim), keepdim=keepdim)


def amax(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The maximum over dims; equal maxima share the gradient."""
    return _amax(input, dim=_some(input, axes(dim, input.ndim), "amax"), keepdim=keepdim)


def amin(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The minimum over dims; equal minima share the gradient."""
    return _amin(input, dim=_some(input, axes(dim, input.ndim), "amin"), keepdim=keepdim)


def _some(x: Any, dim: tuple[int, ...], name: str) -> tuple[int, ...]:
    """dim, if there is something to choose from along it."""
    if 0 in [x.shape[d] for d in dim]:
        raise RangeError(f"{name} needs at least one element along dim, got shape {tuple(x.shape)}")
    return dim


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> MinMax:
    """The minimum and the maximum."""
    return MinMax(amin(input, dim, keepdim), amax(input, dim, keepdim))


@op
def _argmax(be, x, *, dim):
    """y = the first index of the maximum along dim, kept as a dimension"""
    return be.argmax(x, axis=dim, keepdims=True)


@op
def _argmin(be, x, *, dim):
    """y = the first index of the minimum along dim, kept as a dimension"""
    return be.argmin(x, axis=dim, keepdims=True)


def _arg(op: Any, input: Any, dim: int | None, keepdim: bool) -> Any:
    if dim is None:
        _some(input, axes(None, input.ndim), op.name)
        flat = op(reshape(input, (-1,)), dim=0)
        return reshape(flat, (1,) * input.ndim if keepdim else ())
    i = axis(dim, input.ndim)
    if not input.ndim:
        return op(reshape(input, (1,)), dim=0).reshape(())
    index = op(input, dim=_some(input, (i,), op.name)[0])
    return index if keepdim else reshape(index, [n for j, n in enumerate(input.shape) if j != i])


def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first maximum along dim, or in the flattened tensor."""
    return _arg(_argmax, input, dim, keepdim)


def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first minimum along dim, or in the flattened tensor."""
    return _arg(_argmin, input, dim, keepdim)


def _extreme(whole: Any, arg: Any, pair: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        return whole(input)
    if isinstance(dim, Tensor):
        return pair(input, dim)
    if not input.ndim:
        return Extreme(input[...], arg(input))
    return picked(input, arg(input, dim, keepdim=True), axis(dim, input.ndim), keepdim)


def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The maximum of all, (values, indices) along dim, or elementwise with another tensor."""
    from .elementwise import maximum

    return _extreme(amax, argmax, maximum, input, other if dim is None else dim, keepdim)


def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The minimum of all, (values, indices) along dim, or elementwise with another tensor."""
    from .elementwise import minimum

    return _extreme(amin, argmin, minimum, input, other if dim is None else dim, keepdim)


@op
def _all(be, x, *, dim, keepdim):
    """y = whether every x along dim is true"""
    return be.xp.all(x, axis=dim, keepdims=keepdim)


@op
def _any(be, x, *, dim, keepdim):
    """y = whether some x along dim is true"""
    return be.xp.any(x, axis=dim, keepdims=keepdim)


def all(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements are true: a bool, or for uint8, as in PyTorch, uint8."""
    return _uint8_or_bool(_all(input, dim=axes(dim, input.ndim), keepdim=keepdim), input)


def any(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element is true: a bool, or for uint8, as in PyTorch, uint8."""
    return _uint8_or_bool(_any(input, dim=axes(dim, input.ndim), keepdim=keepdim), input)


def _uint8_or_bool(found: Any, input: Any) -> Any:
    return found.to(dtypes.uint8) if input.dtype == dtypes.uint8 else found


@op
def _count_nonzero(be, x, *, dim):
    """y = how many x along dim are not zero"""
    return be.count_nonzero(x, axis=dim)


def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero."""
    return _count_nonzero(input, dim=axes(dim, input.ndim))


@op(dtypes="float")
def _logsumexp(be, x, *, dim, keepdim):
    """y = m + ln (Σ eˣ⁻ᵐ),  m = max x;   gx = g eˣ⁻ʸ"""
    top = be.max(x, axis=dim, keepdims=True, initial=-math.inf)
    top = be.xp.where(be.isfinite(top), top, 0).astype(x.dtype)
    y = be.log(be.total(be.exp(x - top), dim, True)) + top
    return y if keepdim else y.reshape([n for i, n in enumerate(y.shape) if i not in dim])


@_logsumexp.vjp
def _(g, y, x, *, dim):
    from .arithmetic import exp

    return spread(g, x.shape, dim) * exp(x - spread(y, x.shape, dim))


def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log of the sum of exponentials, without overflow."""
    return _logsumexp(input, dim=axes(dim, input.ndim), keepdim=keepdim)


def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of what is not NaN."""
    return sum(where(input != input, zeros_like(input), input), dim, keepdim, dtype=dtype)


def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what is not NaN."""
    count = sum(input == input, dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


methods(all, amax, amin, aminmax, any, argmax, argmin, count_nonzero, logsumexp, max, mean, min)
methods(nanmean, nansum, prod, sum)
