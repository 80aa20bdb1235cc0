"""Normalisation: activations brought to mean 0 and variance 1 along some dimensions."""

from __future__ import annotations

import math
from typing import Any

from ...autograd.mode import no_grad
from ...autograd.wide import narrowed, wide
from ...backend.dtypes import finfo, float32, promote_types
from ...errors import ArgumentError, ShapeError
from ...ops.elementwise import rsqrt
from ...ops.normalization import _layer_norm
from ...ops.reduce import mean
from ...ops.shape import reshape
from ...ops.statistics import var

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "rms_norm",
]


def _affine(y: Any, weight: Any, bias: Any) -> Any:
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0, variance 1 over the last dimensions; weight and bias have their shape.

    (Ba, Kiros & Hinton, 2016)
    """
    shape = _tail(input, normalized_shape, "layer_norm")
    lead = tuple(input.shape[: input.ndim - len(shape)])
    for name, v in (("weight", weight), ("bias", bias)):
        if v is not None and tuple(v.shape) != shape:
            raise ShapeError(f"layer_norm expected a {name} of shape {shape}, got {tuple(v.shape)}")
    if len(shape) == 1:
        return _layer_norm(input, weight, bias, eps=eps)[0]
    flat = reshape(input, (*lead, math.prod(shape)))
    w, b = [v if v is None else reshape(v, (-1,)) for v in (weight, bias)]
    return reshape(_layer_norm(flat, w, b, eps=eps)[0], input.shape)


def _tail(x: Any, shape: Any, name: str) -> tuple[int, ...]:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if tuple(x.shape[x.ndim - len(shape) :]) != shape:
        raise ShapeError(f"{name} expected the last dimensions to be {shape}, got {tuple(x.shape)}")
    return shape


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Mean square 1 over the last dimensions (Zhang & Sennrich, 2019)."""
    shape = _tail(input, normalized_shape, "rms_norm")
    eps = float(finfo(promote_types(input.dtype, float32)).eps) if eps is None else eps
    dims, x = tuple(range(-len(shape), 0)), wide(input)
    return narrowed(_affine(x * rsqrt(mean(x * x, dims, True) + eps), weight, None), input)


def _channels(v: Any, ndim: int) -> Any:
    """A value for each channel, shaped to broadcast over (N, C, ...)."""
    return None if v is None else reshape(v, (1, -1) + (1,) * (ndim - 2))


def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Mean 0, variance 1 for each channel (dimension 1) over the batch, or with the running
    statistics outside training, which training updates in place (Ioffe & Szegedy, 2015)."""
    if input.ndim < 2:
        raise ShapeError(f"batch_norm expects (N, C, ...), got {tuple(input.shape)}")
    dims = tuple(i for i in range(input.ndim) if i != 1)
    count, x = math.prod([input.shape[d] for d in dims]), wide(input)
    if not training and running_mean is not None:
        m, v = running_mean, running_var
    else:
        if count == 1:
            raise ArgumentError(
                f"batch_norm needs more than one value per channel, got {tuple(input.shape)}"
            )
        m, v = mean(x, dims), var(x, dims, correction=0)
        if training and running_mean is not None:
            with no_grad():
                running_mean.lerp_(m.detach(), momentum)
                running_var.lerp_(v.detach() * (count / (count - 1)), momentum)
    n = input.ndim
    y = (x - _channels(m, n)) * rsqrt(_channels(v, n) + eps)
    return narrowed(_affine(y, _channels(weight, n), _channels(bias, n)), input)


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Mean 0, variance 1 over groups of channels of each sample (Wu & He, 2018)."""
    if input.ndim < 2 or input.shape[1] % num_groups:
        raise ShapeError(f"{tuple(input.shape)}: channels do not divide into {num_groups} groups")
    flat = reshape(wide(input), (input.shape[0], num_groups, -1))
    y = reshape(_layer_norm(flat, eps=eps)[0], input.shape)
    y = _affine(y, _channels(weight, input.ndim), _channels(bias, input.ndim))
    return narrowed(y, input)


def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Mean 0, variance 1 for each channel of each sample (Ulyanov et al., 2016)."""
    n, dims, x = input.ndim, tuple(range(2, input.ndim)), wide(input)
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = math.prod(input.shape[2:])
    if count == 1:
        raise ArgumentError(
            f"instance_norm needs more than one value per channel, got {tuple(input.shape)}"
        )
    m, v = mean(x, dims, True), var(x, dims, correction=0, keepdim=True)
    if running_mean is not None:
        with no_grad():
            running_mean.lerp_(mean(m.detach(), 0).reshape(-1), momentum)
            running_var.lerp_(mean(v.detach(), 0).reshape(-1) * (count / (count - 1)), momentum)
    y = _affine((x - m) * rsqrt(v + eps), _channels(weight, n), _channels(bias, n))
    return narrowed(y, input)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """x / (k + alpha mean of x² over `size` neighbouring channels)^beta."""
    from ...ops.joining import narrow
    from ...ops.padding import pad

    squares = pad(input * input, (0, 0) * (input.ndim - 2) + (size // 2, (size - 1) // 2))
    channels = input.shape[1]
    total = narrow(squares, 1, 0, channels)
    for i in range(1, size):
        total = total + narrow(squares, 1, i, channels)
    return input / (k + alpha * total / size) ** beta
