"""Pooling: windows of images reduced to their maximum or mean."""

from __future__ import annotations

import math
from typing import Any

from ... import backend
from ...autograd.placement import placed
from ...errors import ArgumentError, ShapeError
from ...ops.arguments import numbers, raw
from ...ops.gather import gather
from ...ops.joining import stack
from ...ops.padding import pad
from ...ops.reduce import argmax, mean, sum
from ...ops.shape import reshape, unsqueeze
from ...ops.windows import _windows
from ...tensor import wrap
from .convolution import spread

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool2d",
]  # fmt: skip


def _layout(
    x: Any, size: Any, stride: Any, padding: Any, dilation: Any, ceil: bool, rank: int
) -> Any:
    """Sizes as tuples, and how far the last windows reach beyond the padded input."""
    size = spread(size, rank)
    stride = size if stride is None or stride == [] else spread(stride, rank)
    padding, dilation = spread(padding, rank), spread(dilation, rank)
    if any(p > k // 2 for p, k in zip(padding, size)):
        raise ArgumentError(f"padding {padding} is more than half of the window {size}")
    beyond = []
    for n, k, s, p, d in zip(x.shape[-rank:], size, stride, padding, dilation):
        room = n + 2 * p - d * (k - 1) - 1
        if room < 0:
            raise ShapeError(f"the window {size} is larger than the padded input {tuple(x.shape)}")
        count = (-(-room // s) if ceil else room // s) + 1
        if ceil and (count - 1) * s >= n + p:  # a window must begin inside
            count -= 1
        beyond.append((count - 1) * s - room)
    return size, stride, padding, dilation, [max(b, 0) for b in beyond]


def _padded(x: Any, padding: Any, beyond: Any, value: float) -> Any:
    pairs = [n for p, b in zip(reversed(padding), reversed(beyond)) for n in (p, p + b)]
    return pad(x, pairs, value=value) if any(pairs) else x


@placed
def _max_pool(
    x: Any,
    size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil: bool,
    indices: bool,
    rank: int,
) -> Any:
    if x.ndim == rank + 1:
        found = _max_pool(unsqueeze(x, 0), size, stride, padding, dilation, ceil, indices, rank)
        return (found[0][0], found[1][0]) if indices else found[0]
    size, stride, padding, dilation, beyond = _layout(
        x, size, stride, padding, dilation, ceil, rank
    )
    windows = _windows(
        _padded(x, padding, beyond, -math.inf), size=size, stride=stride, dilation=dilation
    )
    flat = reshape(windows, (*windows.shape[: 2 + rank], -1))
    best = argmax(flat, -1, True)
    y = gather(flat, flat.ndim - 1, best)[..., 0]
    if not indices:
        return y
    return y, wrap(_places(raw(best)[..., 0], x.shape[2:], size, stride, padding, dilation))


def _places(best: Any, shape: Any, size: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Where in the flattened image the maxima are."""
    inside = backend.of(best).unravel_index(best, size)
    grid = backend.of(best).ogrid[tuple([slice(n) for n in best.shape])][2:]
    place = 0
    for k, g, n, s, p, d in zip(inside, grid, shape, stride, padding, dilation):
        place = place * n + (g * s + k * d - p)
    return place


def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of (N, C, L); the gradient goes to the first maximum."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """The maximum of each window of (N, C, H, W); the gradient goes to the first maximum."""
    return _max_pool(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


@placed
def _avg_pool(
    x: Any,
    size: Any,
    stride: Any,
    padding: Any,
    ceil: bool,
    with_pad: bool,
    divisor: Any,
    rank: int,
) -> Any:
    if x.ndim == rank + 1:
        return _avg_pool(unsqueeze(x, 0), size, stride, padding, ceil, with_pad, divisor, rank)[0]
    size, stride, padding, one, beyond = _layout(x, size, stride, padding, 1, ceil, rank)
    windows = _windows(_padded(x, padding, beyond, 0.0), size=size, stride=stride, dilation=one)
    total = sum(windows, tuple(range(2 + rank, 2 + 2 * rank)))
    if divisor is not None:
        return total / divisor
    if not any(beyond) and (with_pad or not any(padding)):
        return total / math.prod(size)
    return total / wrap(_counts(x, size, stride, padding, beyond, with_pad, rank))


def _counts(
    x: Any, size: Any, stride: Any, padding: Any, beyond: Any, with_pad: bool, rank: int
) -> Any:
    """How many elements of each window count: those of the input, or also of its padding."""
    be = backend.of(raw(x))
    ones = numbers(be.ones((1, 1, *x.shape[2:]), x.dtype))
    inner = [(0, 0), (0, 0)] + [(p, p) for p in padding]
    ones = be.pad(ones, inner, constant_values=1.0 if with_pad else 0.0)
    ones = be.pad(ones, [(0, 0), (0, 0)] + [(0, b) for b in beyond])
    windows = be.windows(ones, size, stride, (1,) * rank)
    counts = windows.sum(axis=tuple(range(2 + rank, 2 + 2 * rank)))
    return counts.astype(x.dtype, copy=False)


def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """The mean of each window of (N, C, L)."""
    return _avg_pool(input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, 1)


def avg_pool2d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """The mean of each window of (N, C, H, W)."""
    return _avg_pool(
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, 2
    )


def _edges(n: int, out: int) -> list[tuple[int, int]]:
    """The `out` nearly equal, possibly overlapping parts of n places."""
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def _adaptive(x: Any, size: Any, rank: int, reduce: Any) -> Any:
    given = size if isinstance(size, (tuple, list)) else (size,) * rank
    out = [n if k is None else k for k, n in zip(given, x.shape[-rank:])]
    for step, count in enumerate(out):  # one dimension after the other
        dim = x.ndim - rank + step
        index = (slice(None),) * dim
        parts = [reduce(x[index + (slice(a, b),)], dim) for a, b in _edges(x.shape[dim], count)]
        x = stack(parts, dim)
    return x


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The mean of output_size nearly equal parts of (N, C, L)."""
    return _adaptive(input, output_size, 1, mean)


def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of nearly equal parts of (N, C, H, W); None keeps a size."""
    return _adaptive(input, output_size, 2, mean)


def _largest(x: Any, dim: int) -> Any:
    return x.max(dim).values


def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """The maximum of output_size nearly equal parts of (N, C, L)."""
    return _adaptive(input, output_size, 1, _largest)


def adaptive_max_pool2d(input: Any, output_size: Any) -> Any:
    """The maximum of nearly equal parts of (N, C, H, W); None keeps a size."""
    return _adaptive(input, output_size, 2, _largest)
