"""Words of the formulas about functions of one number: activations with their slopes, and the
special functions, which NumPy lacks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .vocabulary import sigmoid

ACTS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu")

# f(x); df_dx its slope at x; slope and curvature of v: the output of the first four, else x.


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


def relu_slope(v: Any) -> Any:
    return ~(v <= 0)


def relu_curvature(v: Any) -> Any:
    return np.zeros_like(v)


def drelu(x: Any) -> Any:
    return relu_slope(x)


def leaky_relu(x: Any) -> Any:
    return np.where(x > 0, x, 0.01 * x)


def leaky_relu_slope(v: Any) -> Any:
    return np.where(v > 0, 1, 0.01).astype(v.dtype)


def leaky_relu_curvature(v: Any) -> Any:
    return np.zeros_like(v)


def dleaky_relu(x: Any) -> Any:
    return leaky_relu_slope(x)


def sigmoid_slope(v: Any) -> Any:
    return v * (1 - v)


def sigmoid_curvature(v: Any) -> Any:
    return 1 - 2 * v


def dsigmoid(x: Any) -> Any:
    return sigmoid_slope(sigmoid(x))


def tanh(x: Any) -> Any:
    return np.tanh(x)


def tanh_slope(v: Any) -> Any:
    return 1 - v * v


def tanh_curvature(v: Any) -> Any:
    return -2 * v


def dtanh(x: Any) -> Any:
    return tanh_slope(np.tanh(x))


def normal(x: Any) -> Any:
    """The density of the normal distribution."""
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def gelu(x: Any) -> Any:
    return x * (1 + erf(x / math.sqrt(2))) / 2


def gelu_slope(v: Any) -> Any:
    return (1 + erf(v / math.sqrt(2))) / 2 + v * normal(v)


def gelu_curvature(v: Any) -> Any:
    return normal(v) * (2 - v * v)


def dgelu(x: Any) -> Any:
    return gelu_slope(x)


def gelu_tanh(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_tanh_slope(v: Any) -> Any:
    c = math.sqrt(2 / math.pi)
    t = np.tanh(c * (v + 0.044715 * v**3))
    return 0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 0.134145 * v * v)


def gelu_tanh_curvature(v: Any) -> Any:
    c = math.sqrt(2 / math.pi)
    t, du = np.tanh(c * (v + 0.044715 * v**3)), c * (1 + 0.134145 * v * v)
    return (1 - t * t) * (du + 0.5 * v * c * 0.26829 * v - v * t * du * du)


def dgelu_tanh(x: Any) -> Any:
    return gelu_tanh_slope(x)


def silu(x: Any) -> Any:
    return x * sigmoid(x)


def silu_slope(v: Any) -> Any:
    s = sigmoid(v)
    return s * (1 + v * (1 - s))


def silu_curvature(v: Any) -> Any:
    s = sigmoid(v)
    return s * (1 - s) * (2 + v * (1 - 2 * s))


def dsilu(x: Any) -> Any:
    return silu_slope(x)


# ---- special functions, number by number


def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[np.asarray(x).dtype])(x)


def erfinv(x: Any) -> Any:
    """Where erf is x, by Newton's method from Winitzki's approximation."""
    a, u = 0.147, np.log(1 - x * x)
    b = 2 / (math.pi * a) + u / 2
    y = np.sign(x) * np.sqrt(np.sqrt(b * b - u / a) - b)
    for _ in range(4):
        y = y - (erf(y) - x) * math.sqrt(math.pi) / 2 * np.exp(y * y)
    return y


def gamma(x: Any) -> Any:
    return np.vectorize(math.gamma, otypes=[float])(x)


def digamma(x: Any) -> Any:
    """ψ: mirrored to positive numbers, raised above 10, then the asymptotic series."""
    mirror = np.where(x < 0.5, math.pi / np.tan(math.pi * np.where(x < 0.5, x, 0.25)), 0)
    x = np.where(x < 0.5, 1 - x, x)
    y = -mirror - sum([1 / (x + k) for k in range(10)])
    r = 1 / (x + 10) ** 2
    series = r * (1 / 12 - r * (1 / 120 - r * (1 / 252 - r * (1 / 240 - r * (1 / 132)))))
    return y + np.log(x + 10) - 1 / (2 * (x + 10)) - series


def polygamma(n: int, x: Any) -> Any:
    """(-1)ⁿ⁺¹ n! Σ over k of 1 / (x + k)ⁿ⁺¹ for n, x > 0; its tail by Euler and Maclaurin."""
    s, top = n + 1, x + 20
    y = sum([1 / (x + k) ** s for k in range(20)])
    y = y + top ** (1 - s) / (s - 1) + top**-s / 2
    rising = 1.0
    for k, b in enumerate([1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66], 1):
        rising *= (s + 2 * k - 3) * (s + 2 * k - 2) if k > 1 else s
        y = y + b / math.factorial(2 * k) * rising * top ** (1 - s - 2 * k)
    return (-1) ** s * math.factorial(n) * y
