"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..backend.dtypes import bool_
from ..tensor import methods
from .arguments import axis, raw
from .arithmetic import exp
from .create import ones_like, zeros_like
from .joining import cat, narrow
from .reduce import Extreme, _accumulator, sum
from .shape import flip, reshape

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "diff", "logcumsumexp"]


@op
def _cumsum(be, x, *, dim):
    """y = cumsum(x, dim);   gx = flip(cumsum(flip(g, dim), dim), dim)"""
    return be.cumsum(x, axis=dim, dtype=x.dtype)


@_cumsum.vjp
def _(g, *, dim):
    return flip(_cumsum(flip(g, dim), dim=dim), dim)


@op
def _cumprod(be, x, *, dim):
    """y = cumprod(x, dim);   gx = without_each(g, x, dim)

    gx[k] = Σ over i >= k of g[i] y[i] / x[k], without dividing by 0.
    """
    return be.cumprod(x, axis=dim, dtype=x.dtype)


@_cumprod.vjp
def _(g, y, x, *, dim):
    if raw(x).all():
        return flip(_cumsum(flip(g * y, dim), dim=dim), dim) / x
    parts = []
    for k in range(x.shape[dim]):
        others = cat(
            [narrow(x, dim, 0, k), ones_like(narrow(x, dim, k, 1)), _after(x, dim, k)], dim
        )
        products = _cumprod(others, dim=dim)
        left = x.shape[dim] - k
        parts.append(sum(narrow(g, dim, k, left) * narrow(products, dim, k, left), dim, True))
    return cat(parts, dim)


def _after(x: Any, dim: int, k: int) -> Any:
    return narrow(x, dim, k + 1, x.shape[dim] - k - 1)


def product_of_others(x: Any, dim: tuple[int, ...]) -> Any:
    """For each element the product of all the others along dims, right also where some are 0."""
    order = [i for i in range(x.ndim) if i not in dim] + list(dim)
    from .shape import permute

    moved = permute(x, order)
    flat = reshape(moved, (*moved.shape[: x.ndim - len(dim)], -1))
    last, count = flat.ndim - 1, flat.shape[-1]
    one = ones_like(narrow(flat, last, 0, 1))
    before = cat([one, _cumprod(narrow(flat, last, 0, count - 1), dim=last)], last)
    rest = flip(narrow(flat, last, 1, count - 1), last)
    after = flip(cat([one, _cumprod(rest, dim=last)], last), last)
    back = sorted(range(x.ndim), key=order.__getitem__)
    return permute(reshape(before * after, moved.shape), back)


@op(dtypes="float")
def _logcumsumexp(be, x, *, dim):
    """y = ln (cumsum(eˣ, dim));   gx = eˣ flip(cumsum(flip(g e⁻ʸ, dim), dim), dim)"""
    return be.logcumsumexp(x, dim)


@_logcumsumexp.vjp
def _(g, y, x, *, dim):
    if not x.ndim or not x.shape[dim]:
        return g
    top, low = raw(y).max(axis=dim, keepdims=True), raw(y).min(axis=dim, keepdims=True)
    if (top - low < 80).all():  # one shift keeps all powers within float32
        return flip(_cumsum(flip(g * exp(top - y), dim), dim=dim), dim) * exp(x - top)
    return _weights_of_later(g, y, dim) * exp(x - y)


def _weights_of_later(g: Any, y: Any, dim: int) -> Any:
    """t[k] = Σ over i >= k of g[i] e^(y[k] - y[i]), from the end: no power is above 1."""
    n = g.shape[dim]
    parts = [narrow(g, dim, n - 1, 1)]
    for k in range(n - 2, -1, -1):
        fall = exp(narrow(y, dim, k, 1) - narrow(y, dim, k + 1, 1))
        parts.append(narrow(g, dim, k, 1) + fall * parts[-1])
    return cat(parts[::-1], dim)


@op
def _running(be, x, *, dim, largest):
    """y = running(x, dim, largest);   gx = scattered(g[0], y[1], dim, x_shape)

    The largest (smallest) so far along dim, and its last index.
    """
    if not x.ndim:
        return x, be.zeros((), "int64")
    values = be.running(x, dim, largest)
    shape = [-1 if i == dim else 1 for i in range(x.ndim)]
    place = be.arange(x.shape[dim]).reshape(shape)
    here = (x == values) | ((x != x) & (values != values))
    return values, be.running(be.xp.where(here, place, 0), dim, True)


@_running.vjp
def _(g, y, *, dim):
    from .scatter import scatter_add

    return scatter_add(zeros_like(g[0]), dim, y[1], g[0])


def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The sum of each element and all before it along dim."""
    return _cumsum(*_shaped(_accumulator(input, dtype)), dim=axis(dim, input.ndim)).reshape(
        input.shape
    )


def _shaped(x: Any) -> tuple[Any]:
    """A number counts as a vector of one."""
    return (x if x.ndim else reshape(x, (1,)),)


def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The product of each element and all before it along dim."""
    return _cumprod(*_shaped(_accumulator(input, dtype)), dim=axis(dim, input.ndim)).reshape(
        input.shape
    )


def logcumsumexp(input: Any, dim: int) -> Any:
    """log of the running sum of exponentials."""
    return _logcumsumexp(*_shaped(input), dim=axis(dim, input.ndim)).reshape(input.shape)


def cummax(input: Any, dim: int) -> Extreme:
    """The largest element so far along dim, and where it was last."""
    return Extreme(*_running(input, dim=axis(dim, input.ndim), largest=True))


def cummin(input: Any, dim: int) -> Extreme:
    """The smallest element so far along dim, and where it was last."""
    return Extreme(*_running(input, dim=axis(dim, input.ndim), largest=False))


def diff(input: Any, n: int = 1, dim: int = -1) -> Any:
    """Differences of neighbours along dim, n times."""
    i = axis(dim, input.ndim)
    for _ in range(n):
        left = max(input.shape[i] - 1, 0)
        later, earlier = narrow(input, i, input.shape[i] - left, left), narrow(input, i, 0, left)
        input = later - earlier if input.dtype != bool_ else later != earlier
    return input


methods(cummax, cummin, cumprod, cumsum, diff, logcumsumexp)
