"""Activation functions under PyTorch's names; `inplace` is accepted where PyTorch has it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from ...errors import ArgumentError, ShapeError
from ...ops import activation as act
from ...ops.activation import _softplus, gelu, prelu
from ...ops.arithmetic import log, tanh
from ...ops.create import zeros_like
from ...ops.elementwise import abs, log1p, sigmoid
from ...ops.inplace import kept
from ...ops.joining import chunk
from ...ops.random import rand_like
from ...ops.reduce import argmax
from ...ops.scatter import scatter
from ...ops.select import where
from ...ops.softmax import log_softmax
from ...ops.softmax import softmax as _softmax

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid",
    "mish", "prelu", "relu", "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid",
    "silu", "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink",
    "threshold", "threshold_",
]  # fmt: skip


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the slope at 0 is 0."""
    return kept(act.relu, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(x, 0), 6)"""
    return hardtanh(input, 0.0, 6.0, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, else negative_slope x."""
    return kept(lambda x: act.leaky_relu(x, negative_slope), input, inplace)


def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (eˣ - 1)."""
    return kept(lambda x: act.elu(x, alpha), input, inplace)


def selu(input: Any, inplace: bool = False) -> Any:
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return kept(act.selu, input, inplace)


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1)."""
    return kept(lambda x: act.celu(x, alpha), input, inplace)


def silu(input: Any, inplace: bool = False) -> Any:
    """x sigmoid(x)"""
    return kept(act.silu, input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x tanh(softplus(x)) (Misra, 2019)."""
    return kept(lambda x: x * tanh(softplus(x)), input, inplace)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Limited to [min_val, max_val]; the slope is 0 at both ends."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh expects min_val <= max_val, got {min_val} and {max_val}")
    low, high = (min_val, max_val) if input.is_floating_point() else (int(min_val), int(max_val))
    return kept(lambda x: where(x >= high, high, where(x <= low, low, x)), input, inplace)


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6"""
    return kept(lambda x: relu6(x + 3) / 6, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x hardsigmoid(x); the slope at -3 is 0 and at 3 is 1, as PyTorch has it."""

    def function(x: Any) -> Any:
        return where(x <= -3, x * 0, where(x >= 3, x, x * (x + 3) / 6))

    return kept(function, input, inplace)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, else value."""
    return kept(lambda x: act.threshold(x, threshold, value), input, inplace)


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


def rrelu(
    input: Any,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """x where x > 0, else a x: in training a is drawn from [lower, upper], else their mean."""
    if lower > upper:
        raise ArgumentError(f"rrelu expects lower <= upper, got {lower} and {upper}")
    slope = rand_like(input) * (upper - lower) + lower if training else (lower + upper) / 2
    return kept(lambda x: where(x > 0, x, x * slope), input, inplace)


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A sample of the categorical distribution, made differentiable (Jang et al., 2017).

    softmax((logits + Gumbel noise) / tau); `hard` rounds it to one-hot and keeps the soft slope.
    `eps` is, as in PyTorch, no longer of effect.
    """
    noise = -log(-log1p(-rand_like(logits)))
    soft = _softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = argmax(soft, dim, keepdim=True)
    return scatter(zeros_like(soft), dim, index, 1.0) - soft.detach() + soft


relu_, leaky_relu_, elu_, selu_, celu_, hardtanh_, rrelu_, threshold_ = [
    partial(f, inplace=True)
    for f in (relu, leaky_relu, elu, selu, celu, hardtanh, rrelu, threshold)
]
