"""Activation functions. Those in FROM_OUTPUT have a slope that follows from their output."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.op import op
from ..errors import ArgumentError
from ..tensor import methods
from .arithmetic import exp, tanh
from .create import zeros_like
from .elementwise import sigmoid
from .select import where

__all__ = ["act_grad", "relu", "selu", "celu", "prelu", "threshold"]

FROM_OUTPUT = ("relu", "leaky_relu", "sigmoid", "tanh")
FROM_INPUT = ("gelu", "gelu_tanh", "silu")
LEAK = 0.01  # PyTorch's default slope of leaky_relu


@op
def _activate(be, x, *, act):
    """y = f(x);   gx = g f'(x)

    f is the activation of that name.
    """
    return be.activate(x, act)


@_activate.vjp
def _(g, y, x, *, act):
    return act_grad(g, y if act in FROM_OUTPUT else x, act=act)


@op
def _act_grad(be, g, v, *, act):
    """y = g slope(v);   gg = h slope(v),  gv = h g curvature(v)

    slope is f' at v: the output of f, for gelu and silu its input. curvature is slope'.
    """
    return be.act_grad(g, v, act)


@_act_grad.vjp
def _(h, g, v, needs, *, act):
    gv = curvature(h * g, v, act) if needs[1] else None
    return act_grad(h, v, act=act) if needs[0] else None, gv


def act_grad(g: Any, v: Any, *, act: str | None) -> Any:
    """g times the slope of an activation at v: its output, for gelu and silu its input."""
    return g if act is None else _act_grad(g, v, act=act)


def curvature(g: Any, v: Any, act: str) -> Any:
    """g times the derivative of the slope with respect to v, in differentiable operations."""
    if act in ("relu", "leaky_relu"):
        return zeros_like(g)
    if act == "sigmoid":
        return g * (1 - 2 * v)
    if act == "tanh":
        return g * (-2 * v)
    if act == "gelu":  # f' = Φ(x) + x φ(x), f'' = φ(x) (2 - x²)
        return g * exp(-0.5 * v * v) * (2 - v * v) / math.sqrt(2 * math.pi)
    if act == "silu":
        s = sigmoid(v)
        return g * s * (1 - s) * (2 + v * (1 - 2 * s))
    u, du, ddu = _gelu_inner(v)
    t = tanh(u)
    return g * (1 - t * t) * (du + 0.5 * v * ddu - v * t * du * du)


def _gelu_inner(x: Any) -> tuple[Any, Any, Any]:
    """The argument of gelu's tanh, and its first two derivatives."""
    c = math.sqrt(2 / math.pi)
    return c * (x + 0.044715 * x * x * x), c * (1 + 0.134145 * x * x), c * 0.26829 * x


def _named(name: str, formula: str) -> Any:
    def function(input: Any) -> Any:
        return _activate(_floating(input), act=name)

    function.__name__, function.__doc__ = name, formula
    return function


def _floating(x: Any) -> Any:
    return x if x.dtype.kind in "fV" else x.float()


silu = _named("silu", "x / (1 + e⁻ˣ)")


def relu(input: Any) -> Any:
    """max(x, 0); the slope at 0 is 0."""
    return _activate(input, act="relu")


def gelu(input: Any, approximate: str = "none") -> Any:
    """x Φ(x), or with approximate="tanh" the usual approximation (Hendrycks & Gimpel, 2016)."""
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"expected approximate 'none' or 'tanh', got {approximate!r}")
    return _activate(input, act="gelu" if approximate == "none" else "gelu_tanh")


def leaky_relu(input: Any, negative_slope: float = LEAK) -> Any:
    """x where x > 0, else negative_slope x."""
    if negative_slope == LEAK:
        return _activate(input, act="leaky_relu")
    return where(input > 0, input, input * negative_slope)


def elu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (eˣ - 1)."""
    return _elu(input, alpha=alpha, scale=1.0, rate=1.0)


@op
def _elu(be, x, *, alpha, scale, rate):
    """y = [x > 0] scale x + [x <= 0] scale α (e^(rate x) - 1);
    gx = [x > 0] g scale + [x <= 0] g rate (y + scale α)"""
    low = scale * alpha * be.expm1(rate * be.minimum(x, 0))
    return be.xp.where(x > 0, scale * x, low).astype(x.dtype)


@_elu.vjp
def _(g, x, *, alpha, scale, rate):
    low = scale * alpha * rate * exp(rate * where(x < 0, x, 0.0))
    return g * where(x > 0, scale, low)


def selu(input: Any) -> Any:
    """elu with the constants that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return _elu(input, alpha=1.6732632423543772, scale=1.0507009873554805, rate=1.0)


def celu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha (e^(x / alpha) - 1)."""
    return _elu(input, alpha=alpha, scale=1.0, rate=1.0 / alpha)


@op
def _softplus(be, x, *, beta, threshold):
    """y = [βx <= threshold] ln (1 + e^(βx)) / β + [βx > threshold] x;
    gx = [βx <= threshold] g σ(βx) + [βx > threshold] g"""
    z = x * beta
    return be.xp.where(z > threshold, x, be.logaddexp(z, 0) / beta).astype(x.dtype)


@_softplus.vjp
def _(g, x, *, beta, threshold):
    z = x * beta
    return where(z > threshold, g, g * sigmoid(z))


def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, else w x; w is one number or one per channel (dimension 1)."""
    channel = input.ndim > 1 and weight.shape[-1:] != () and weight.shape[0] != 1
    w = weight.reshape((1, -1) + (1,) * (input.ndim - 2)) if channel else weight
    return where(input > 0, input, w * input)


def threshold(input: Any, threshold: float, value: float) -> Any:
    """x where x > threshold, else value."""
    return where(input > threshold, input, value)


methods(relu, prelu)
