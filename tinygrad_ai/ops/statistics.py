"""Variances and standard deviations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from ..autograd.op import op
from ..backend import dtypes
from ..errors import DTypeError
from ..tensor import methods
from .arguments import axes
from .arithmetic import sqrt
from .reduce import mean, spread
from .select import where

__all__ = ["corrcoef", "cov", "std", "std_mean", "var", "var_mean"]


class WithMean(NamedTuple):
    value: Any
    mean: Any


@op
def _var(be, x, *, dim, correction, keepdim):
    """y = (Σ (x - mean x)²) / (n - correction);   gx = 2 g (x - mean x) / (n - correction)"""
    count = math.prod([x.shape[d] for d in dim])
    centred = x - be.total(x, dim, True) / (count or math.nan)
    return (be.total(centred * centred, dim, keepdim) / _freedom(count, correction)).astype(x.dtype)


@_var.vjp
def _(g, x, *, dim, correction):
    count = math.prod([x.shape[d] for d in dim])
    centred = x - mean(x, dim, True)
    return spread(g * (2 / _freedom(count, correction)), x.shape, dim) * centred


@op
def _std(be, x, *, dim, correction, keepdim):
    """y = √((Σ (x - mean x)²) / (n - correction));
    gx = [y > 0] g (x - mean x) / ((n - correction) y)"""
    return be.sqrt(_var.forward(be, x, dim=dim, correction=correction, keepdim=keepdim))


@_std.vjp
def _(g, y, x, *, dim, correction):
    count = math.prod([x.shape[d] for d in dim])
    y = spread(y, x.shape, dim) * _freedom(count, correction)
    scale = where(y == 0, 0.0, spread(g, x.shape, dim) / where(y == 0, 1.0, y))
    return scale * (x - mean(x, dim, True))


def _freedom(count: int, correction: float) -> float:
    """n - c, and NaN where nothing is left to divide by."""
    left = max(count - correction, 0)
    return left if left else math.nan


def _correction(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """PyTorch's older calls: var(unbiased), var(dim, unbiased); now var(dim, correction=)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, (0 if unbiased is False else 1) if correction is None else correction


def _moment(op: Any, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    dim, c = _correction(dim, unbiased, correction)
    if not dtypes.is_floating(input.dtype):
        raise DTypeError(
            f"{op.name} expects a floating-point tensor, got {input.dtype}", "x.float()"
        )
    return op(input, dim=axes(dim, input.ndim), correction=c, keepdim=keepdim)


def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The variance over dim or everything, divided by n - correction (1)."""
    return _moment(_var, input, dim, unbiased, keepdim, correction)


def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The standard deviation, √var; its slope at 0 is 0."""
    return _moment(_std, input, dim, unbiased, keepdim, correction)


def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> WithMean:
    """The variance and the mean."""
    over = None if isinstance(dim, bool) else dim
    return WithMean(
        var(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)
    )


def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> WithMean:
    """The standard deviation and the mean."""
    over = None if isinstance(dim, bool) else dim
    return WithMean(
        std(input, dim, unbiased, keepdim, correction=correction), mean(input, over, keepdim)
    )


def cov(input: Any, *, correction: int = 1) -> Any:
    """The covariance matrix of variables in rows, observations in columns."""
    x = input if dtypes.is_floating(input.dtype) else input.to(dtypes.get_default_dtype())
    rows = x.reshape(1, -1) if x.ndim < 2 else x
    centred = rows - mean(rows, 1, True)
    result = (centred @ centred.mT) / _freedom(rows.shape[1], correction)
    return result if input.ndim > 1 else result.reshape(())


def corrcoef(input: Any) -> Any:
    """The correlation matrix of variables in rows."""
    matrix = cov(input)
    if not matrix.ndim:
        return matrix / matrix
    size = sqrt(matrix.diagonal())
    return matrix / size.reshape(-1, 1) / size


methods(corrcoef, cov, std, var)
