"""Activation functions under PyTorch's names; `inplace` is accepted where PyTorch has it."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentError, ShapeError
from ...ops import activation as act
from ...ops.activation import _softplus, gelu, prelu, threshold
from ...ops.arithmetic import tanh
from ...ops.elementwise import abs, sigmoid
from ...ops.joining import chunk
from ...ops.select import where
from ...ops.softmax import log_softmax
from ...ops.softmax import softmax as _softmax

__all__ = [
    "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh",
    "leaky_relu", "log_softmax", "logsigmoid", "mish", "prelu", "relu", "relu6", "selu", "sigmoid",
    "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold",
]  # fmt: skip


def _kept(input: Any, result: Any, inplace: bool) -> Any:
    """The result, written into the input's memory if `inplace` asks for that."""
    if not inplace:
        return result
    from ...ops.inplace import overwrite

    return overwrite(input, result, "inplace=True")


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the slope at 0 is 0."""
    return _kept(input, act.relu(input), inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)"""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope x."""
    return _kept(input, act.leaky_relu(input, negative_slope), inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (eˣ - 1)."""
    return _kept(input, act.elu(input, alpha), inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _kept(input, act.selu(input), inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1)."""
    return _kept(input, act.celu(input, alpha), inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x)"""
    return _kept(input, act.silu(input), inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)) (Misra, 2019)."""
    return _kept(input, input * tanh(softplus(input)), inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Limited to [min_val, max_val]; the slope is 0 at both ends."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh expects min_val <= max_val, got {min_val} and {max_val}")
    result = where(input >= max_val, max_val, where(input <= min_val, min_val, input))
    return _kept(input, result, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6"""
    return _kept(input, relu6(input + 3) / 6, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x hardsigmoid(x); the slope at -3 is 0 and at 3 is 1, as PyTorch has it."""
    middle = input * (input + 3) / 6
    result = where(input <= -3, input * 0, where(input >= 3, input, middle))
    return _kept(input, result, inplace)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + e^(beta x)) / beta, and x itself where beta x > threshold."""
    return _softplus(input, beta=float(beta), threshold=float(threshold))


def softsign(input: Any) -> Any:
    """x / (1 + |x|)"""
    return input / (1 + abs(input))


def logsigmoid(input: Any) -> Any:
    """log sigmoid(x), without overflow."""
    return -_softplus(-input, beta=1.0, threshold=math.inf)


def tanhshrink(input: Any) -> Any:
    """x - tanh x"""
    return input - tanh(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, 0 within it."""
    if lambd < 0:
        raise ArgumentError(f"softshrink expects lambd >= 0, got {lambd}")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x, but 0 where |x| <= lambd."""
    return where((input >= -lambd) & (input <= lambd), 0.0, input)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half of dim times the sigmoid of the second (Dauphin et al., 2017)."""
    if input.shape[dim] % 2:
        raise ShapeError(f"glu expects an even size along dim {dim}, got {tuple(input.shape)}")
    a, b = chunk(input, 2, dim)
    return a * sigmoid(b)


def softmax(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """eˣ / Σ eˣ along dim."""
    return _softmax(input, _chosen(input, dim), dtype)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax of -input."""
    return _softmax(-input, _chosen(input, dim), dtype)


def _chosen(x: Any, dim: int | None) -> int:
    if dim is None:
        raise ArgumentError(
            "softmax needs a dim; PyTorch's implicit choice is deprecated", "dim=-1"
        )
    return dim
