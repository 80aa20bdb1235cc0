"""The kernels worth accelerating, each in plain array code: this is what they mean.

Every kernel takes the backend first, then arrays, and returns arrays. A compiled version replaces
the entry of the same name and must give the same results.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import DTypeError

TABLE: dict[str, Callable[..., Any]] = {}
ACTS = (None, "relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu")


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Enters a function into the table of kernels."""
    TABLE[function.__name__] = function
    return function


@kernel
def total(be: Any, x: Any, dim: tuple[int, ...], keepdim: bool) -> Any:
    """Sum over `dim`. NumPy adds row after row along a slow axis, which loses digits in float32:
    long sums that are not along the last axis are accumulated in float64."""
    large = x.size > 4096 and x.itemsize < 8 and x.dtype.kind == "f"
    if (
        large
        and max(dim, default=x.ndim) < x.ndim - 1
        and math.prod([x.shape[d] for d in dim]) > 4096
    ):
        return be.add.reduce(x, axis=dim, keepdims=keepdim, dtype="float64").astype(x.dtype)
    return be.add.reduce(x, axis=dim, keepdims=keepdim)


@kernel
def power(be: Any, a: Any, b: Any) -> Any:
    """aᵇ. Integers to negative powers, which NumPy refuses, are rounded towards 0."""
    try:
        return be.xp.power(a, b)
    except ValueError as error:
        if "negative" not in str(error):
            raise
    if not hasattr(b, "dtype"):
        raise DTypeError(f"expected a power >= 0 for a {a.dtype} tensor, got {b}", "x.float() ** b")
    below = b < 0
    y = be.xp.power(a, be.xp.where(below, -b % 2, b))
    return be.xp.where(below & (be.abs(a) != 1), 0, y).astype(y.dtype)


@kernel
def expanded(be: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """x broadcast to a shape, read-only. One number, a sum's gradient, takes the short way."""
    if x.ndim or type(x) is not be.ndarray or not x.flags.c_contiguous:
        return be.xp.broadcast_to(x, shape)
    y = be.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    y.setflags(write=False)
    return y


@kernel
def sigmoid(be: Any, x: Any) -> Any:
    """1 / (1 + e⁻ˣ), from the exponential that cannot overflow."""
    e = be.exp(-be.abs(x))
    return be.xp.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)


@kernel
def activate(be: Any, x: Any, act: str) -> Any:
    """f(x) for the activations a linear layer can be fused with."""
    if act == "relu":
        return be.maximum(x, 0)
    if act == "leaky_relu":
        return be.xp.where(x > 0, x, x * 0.01)
    if act == "sigmoid":
        return be.sigmoid(x)
    if act == "tanh":
        return be.tanh(x)
    if act == "silu":
        return x * be.sigmoid(x)
    if act == "gelu":
        return x * (0.5 * (1 + be.erf(x / math.sqrt(2))))
    if act == "gelu_tanh":
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
        return 0.5 * x * (1 + be.tanh(inner))
    raise ValueError(f"unknown activation {act!r}")


@kernel
def act_grad(be: Any, g: Any, v: Any, act: str) -> Any:
    """g f'(v): v is the output of relu, leaky_relu, sigmoid, tanh, the input of gelu and silu."""
    if act == "relu":
        return be.xp.where(v <= 0, g * 0, g)
    if act == "leaky_relu":
        return be.xp.where(v > 0, g, g * 0.01)
    if act == "sigmoid":
        return g * (v * (1 - v))
    if act == "tanh":
        return g * (1 - v * v)
    if act == "silu":
        s = be.sigmoid(v)
        return g * (s * (1 + v * (1 - s)))
    if act == "gelu":
        normal = be.exp(-0.5 * v * v) / math.sqrt(2 * math.pi)
        return g * (0.5 * (1 + be.erf(v / math.sqrt(2))) + v * normal)
    if act == "gelu_tanh":
        t = be.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v * v * v))
        slope = math.sqrt(2 / math.pi) * (1 + 0.134145 * v * v)
        return g * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * slope)
    raise ValueError(f"unknown activation {act!r}")


@kernel
def linear(be: Any, x: Any, w: Any, b: Any, act: str | None) -> Any:
    """f(x wᵀ + b). Where it is recorded, f is one whose slope follows from the output."""
    y = be.matmul(x, w.T)
    if b is not None:
        y += b
    if act is None:
        return y
    return be.maximum(y, 0, out=y) if act == "relu" else be.activate(y, act)


def rows(x: Any) -> Any:
    """x (..., n) as a matrix of rows; -1 would not do for n = 0."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@kernel
def linear_z(be: Any, x: Any, w: Any, b: Any, act: str) -> tuple[Any, Any]:
    """f(z) and z = x wᵀ + b, for f whose slope needs z."""
    z = be.linear(x, w, b, None)
    return be.activate(z, act), z


@kernel
def linear_grad_x(be: Any, g: Any, v: Any, w: Any, act: str | None) -> Any:
    """(g f'(v)) w"""
    return be.matmul(g if act is None else be.act_grad(g, v, act), w)


@kernel
def linear_grad_w(be: Any, g: Any, v: Any, x: Any, act: str | None) -> tuple[Any, Any]:
    """gzᵀ x and Σ gz over all rows, gz = g f'(v)"""
    gz = rows(g if act is None else be.act_grad(g, v, act))
    return be.matmul(gz.T, rows(x)), be.total(gz, (0,), False)


@kernel
def scatter_sum(be: Any, y: Any, index: Any, x: Any) -> None:
    """y[index] += x, where an index that comes several times counts every time."""
    be.add.at(y, index, x)


@kernel
def combine_at(be: Any, y: Any, index: Any, x: Any, reduce: str) -> None:
    """y[index] = the product or extreme of y[index] and all x that go there."""
    {"prod": be.multiply, "amax": be.maximum, "amin": be.minimum}[reduce].at(y, index, x)


@kernel
def running(be: Any, x: Any, dim: int, largest: bool) -> Any:
    """The largest (smallest) so far along dim; NaN once there was one."""
    return (be.maximum if largest else be.minimum).accumulate(x, axis=dim)


@kernel
def logcumsumexp(be: Any, x: Any, dim: int) -> Any:
    """log Σ eˣ of all so far along dim."""
    return be.logaddexp.accumulate(x, axis=dim) if x.ndim else x


@kernel
def single(be: Any, value: Any, dtype: Any) -> Any:
    """One number as a 0-d array."""
    return be.array(value, dtype=dtype)


@kernel
def converted(be: Any, x: Any, dtype: Any) -> Any:
    """x in another dtype."""
    return x.astype(dtype)


@kernel
def counted(be: Any, start: Any, step: Any, count: int, dtype: Any) -> Any:
    """start, start + step, ...: `count` numbers."""
    return (start + step * be.arange(count)).astype(dtype)


@kernel
def spaced(be: Any, start: float, end: float, steps: int, dtype: Any) -> Any:
    """`steps` numbers from start to end, both included."""
    return be.linspace(start, end, steps).astype(dtype)
