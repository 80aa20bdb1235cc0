"""Convolutions in one and two dimensions, and the windows they are made of."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError, ShapeError
from ...ops.convolution import _convolve, _convolve_input
from ...ops.padding import pad
from ...ops.shape import permute, reshape, unsqueeze
from ...ops.windows import _unwindow, _windows

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "fold", "unfold"]


def spread(value: Any, rank: int) -> tuple[int, ...]:
    """One number for every dimension, or one each."""
    if isinstance(value, int):
        return (value,) * rank
    if len(value) == 1:
        return tuple(value) * rank
    return tuple(value)


def _conv(
    x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any, groups: int, rank: int
) -> Any:
    if x.ndim == rank + 1:
        return _conv(unsqueeze(x, 0), w, b, stride, padding, dilation, groups, rank)[0]
    stride, dilation = spread(stride, rank), spread(dilation, rank)
    _check(x, w, groups, rank)
    borders = _borders(padding, tuple(w.shape[2:]), stride, dilation, rank)
    x = pad(x, [n for pair in reversed(borders) for n in pair]) if any(map(any, borders)) else x
    for n, k, d in zip(x.shape[2:], w.shape[2:], dilation):
        if d * (k - 1) + 1 > n:
            raise ShapeError(
                f"the kernel {tuple(w.shape[2:])} is larger than "
                f"the padded input {tuple(x.shape[2:])}"
            )
    y = _convolve(x, w, stride=stride, dilation=dilation, groups=groups)
    return y if b is None else y + reshape(b, (1, -1) + (1,) * rank)


def _check(x: Any, w: Any, groups: int, rank: int) -> None:
    if x.ndim != rank + 2 or w.ndim != rank + 2:
        raise ShapeError(
            f"conv{rank}d expects an input of {rank + 1} or {rank + 2} dimensions and a weight of "
            f"{rank + 2}, got {tuple(x.shape)} and {tuple(w.shape)}"
        )
    if x.shape[1] != w.shape[1] * groups or w.shape[0] % groups:
        raise ShapeError(
            f"conv{rank}d expected {w.shape[1] * groups} input channels "
            f"for a weight {tuple(w.shape)} and {groups} groups, got {tuple(x.shape)}"
        )


def _borders(
    padding: Any, size: Any, stride: Any, dilation: Any, rank: int
) -> list[tuple[int, int]]:
    if padding == "valid":
        return [(0, 0)] * rank
    if padding == "same":
        if any(s != 1 for s in stride):
            raise ArgumentError("padding='same' goes with stride 1 only")
        total = [d * (k - 1) for k, d in zip(size, dilation)]
        return [(n // 2, n - n // 2) for n in total]
    if isinstance(padding, str):
        raise ArgumentError(f"expected padding 'same', 'valid' or numbers, got {padding!r}")
    return [(n, n) for n in spread(padding, rank)]


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """input (N, C, L) with weight (O, C / groups, K): (N, O, out)."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 1)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """input (N, C, H, W) with weight (O, C / groups, kH, kW): (N, O, out...)."""
    return _conv(input, weight, bias, stride, padding, dilation, groups, 2)


def _transposed(
    x: Any,
    w: Any,
    b: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
    rank: int,
) -> Any:
    if x.ndim == rank + 1:
        return _transposed(
            unsqueeze(x, 0), w, b, stride, padding, output_padding, groups, dilation, rank
        )[0]
    stride, padding, extra, dilation = [
        spread(v, rank) for v in (stride, padding, output_padding, dilation)
    ]
    if x.ndim != rank + 2 or x.shape[1] != w.shape[0]:
        raise ShapeError(
            f"conv_transpose{rank}d: input {tuple(x.shape)} does not fit weight {tuple(w.shape)}"
        )
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ArgumentError("output_padding must be smaller than stride or dilation")
    size = [
        (n - 1) * s + d * (k - 1) + e + 1
        for n, s, d, k, e in zip(x.shape[2:], stride, dilation, w.shape[2:], extra)
    ]
    y = _convolve_input(x, w, size=tuple(size), stride=stride, dilation=dilation, groups=groups)
    cut = tuple([slice(p, n - p) for p, n in zip(padding, size)])
    y = y[(slice(None), slice(None)) + cut] if any(padding) else y
    return y if b is None else y + reshape(b, (1, -1) + (1,) * rank)


def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The gradient of conv1d as a layer: weight (C, O / groups, K)."""
    return _transposed(input, weight, bias, stride, padding, output_padding, groups, dilation, 1)


def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The gradient of conv2d as a layer: weight (C, O / groups, kH, kW)."""
    return _transposed(input, weight, bias, stride, padding, output_padding, groups, dilation, 2)


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """All windows of (N, C, H, W) as columns: (N, C kH kW, windows)."""
    size, dilation, padding, stride = [
        spread(v, 2) for v in (kernel_size, dilation, padding, stride)
    ]
    if input.ndim == 3:
        return unfold(unsqueeze(input, 0), size, dilation, padding, stride)[0]
    x = pad(input, (padding[1], padding[1], padding[0], padding[0])) if any(padding) else input
    w = _windows(x, size=size, stride=stride, dilation=dilation)
    w = permute(w, (0, 1, 4, 5, 2, 3))
    return reshape(w, (w.shape[0], w.shape[1] * w.shape[2] * w.shape[3], w.shape[4] * w.shape[5]))


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Columns (N, C kH kW, windows) added back to (N, C, H, W): the transpose of unfold."""
    if input.ndim == 2:
        return fold(unsqueeze(input, 0), output_size, kernel_size, dilation, padding, stride)[0]
    out, size, dilation, padding, stride = [
        spread(v, 2) for v in (output_size, kernel_size, dilation, padding, stride)
    ]
    padded = [n + 2 * p for n, p in zip(out, padding)]
    places = [(n - d * (k - 1) - 1) // s + 1 for n, d, k, s in zip(padded, dilation, size, stride)]
    channels = input.shape[1] // (size[0] * size[1])
    if input.shape[1] % (size[0] * size[1]) or input.shape[2] != places[0] * places[1]:
        raise ShapeError(
            f"fold: {tuple(input.shape)} does not fit kernel {size} and {places} windows"
        )
    w = permute(reshape(input, (-1, channels, *size, *places)), (0, 1, 4, 5, 2, 3))
    y = _unwindow(w, size=tuple(padded), stride=stride, dilation=dilation)
    return y[:, :, padding[0] : padded[0] - padding[0], padding[1] : padded[1] - padding[1]]
