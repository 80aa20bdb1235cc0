"""The fused linear layer: product, bias and activation in one op."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.broadcast import broadcast_to
from ..autograd.mode import state
from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from .activation import FROM_INPUT, FROM_OUTPUT, _activate, act_grad, curvature
from .matmul import _matmul
from .shape import reshape, transpose

__all__ = ["linear"]


@op(dtypes="same")
def _linear(be, x, w, b=None, *, act=None):
    """y = f(z),  z = x @ wᵀ + b;   gz = g f'(z),  gx = gz @ w,  gw = gzᵀ @ x,  gb = gz

    The walk sums gz down to b's shape.
    """
    return be.linear(x, w, b, act)


@_linear.vjp
def _(g, y, x, w, needs, *, act):
    return grads(g, None if act is None else y, x, w, needs, act)


@op(dtypes="same")
def _linear_z(be, x, w, b=None, *, act):
    """y[0] = f(z),  y[1] = z,  z = x @ wᵀ + b;
    gz = g[0] f'(z) + g[1],  gx = gz @ w,  gw = gzᵀ @ x,  gb = gz

    As linear, for activations whose slope needs z.
    """
    return be.linear_z(x, w, b, act)


@_linear_z.vjp
def _(g, y, x, w, needs, *, act):
    gy, gz = g
    if gz is None:
        return grads(gy, y[1], x, w, needs, act)
    gz = gz if gy is None else gz + act_grad(gy, y[1], act=act)
    return grads(gz, None, x, w, needs, None)


def grads(g: Any, v: Any, x: Any, w: Any, needs: Any, act: str | None) -> tuple[Any, Any, Any]:
    """The gradients of x, w and b; only those that are needed."""
    wants_b = len(needs) > 2 and needs[2]
    gx = _linear_grad_x(g, v, w, act=act) if needs[0] else None
    if needs[1]:
        gw, gb = _linear_grad_w(g, v, x, act=act)
        return gx, gw, gb if wants_b else None
    return gx, None, act_grad(g, v, act=act) if wants_b else None


@op(dtypes="same")
def _linear_grad_x(be, g, v, w, *, act):
    """y = gz @ w,  gz = g slope(v);
    d = h @ wᵀ,  gg = d slope(v),  gv = d g curvature(v),  gw = gzᵀ @ h"""
    return be.linear_grad_x(g, v, w, act)


@_linear_grad_x.vjp
def _(h, g, v, w, needs, *, act):
    gg, gv = through(_matmul(h, transpose(w, 0, 1)), g, v, needs, act)
    gz = act_grad(g, v, act=act)
    return gg, gv, _matmul(transpose(rows(gz), 0, 1), rows(h)) if needs[2] else None


@op(dtypes="same")
def _linear_grad_w(be, g, v, x, *, act):
    """y[0] = rows(gz)ᵀ @ rows(x),  y[1] = down(gz),  gz = g slope(v);
    d = x @ h[0]ᵀ + h[1],  gg = d slope(v),  gv = d g curvature(v),  gx = gz @ h[0]"""
    return be.linear_grad_w(g, v, x, act)


@_linear_grad_w.vjp
def _(h, g, v, x, needs, *, act):
    hw, hb = h
    gx = into = None
    if hw is not None:
        into = _matmul(x, transpose(hw, 0, 1))
        gx = _matmul(act_grad(g, v, act=act), hw) if needs[2] else None
    if hb is not None:
        into = broadcast_to(hb, shape=tuple(g.shape)) if into is None else into + hb
    return (*through(into, g, v, needs, act), gx)


def through(gz: Any, g: Any, v: Any, needs: Any, act: str | None) -> tuple[Any, Any]:
    """From the gradient of g f'(v) to those of g and v."""
    gg = act_grad(gz, v, act=act) if needs[0] else None
    return gg, curvature(gz * g, v, act) if act is not None and needs[1] else None


def rows(x: Any) -> Any:
    return reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def linear(input: Any, weight: Any, bias: Any = None, *, act: str | None = None) -> Any:
    """f(input weightᵀ + bias): input (..., in), weight (out, in), bias (out) or None.

    `act` (our addition to PyTorch's signature) is the activation f: None, "relu", "leaky_relu",
    "sigmoid", "tanh", "gelu", "gelu_tanh" or "silu". ShapeError if the sizes do not fit.
    """
    of_x, of_w = input.shape, weight.shape
    if len(of_w) == 1:
        return linear(input, reshape(weight, (1, -1)), bias, act=act)[..., 0]
    if not of_x or of_x[-1] != of_w[-1]:
        raise ShapeError(
            f"expected x.shape[-1] == {of_w[-1]}, got {tuple(of_x)}", _fix(input, of_w[-1])
        )
    if len(of_x) == 1:
        return linear(reshape(input, (1, -1)), weight, bias, act=act)[0]
    if bias is not None and bias.shape != of_w[:1]:
        z = _linear(input, weight) + bias  # broadcast, as PyTorch allows
        return z if act is None else _activate(z, act=act)
    if act in FROM_INPUT and recorded(input, weight, bias):
        return _linear_z(input, weight, bias, act=act)[0]
    if act not in FROM_INPUT:
        check_activation(act, "act")
    return _linear(input, weight, bias, act=act)


def recorded(*values: Any) -> bool:
    """Whether an op on these goes on the tape: only then z has to be kept."""
    return state._grad and any([getattr(v, "node", None) is not None for v in values])


def check_activation(act: Any, name: str) -> None:
    """ArgumentError unless it is None or the name of an activation."""
    if act is not None and act not in FROM_OUTPUT and act not in FROM_INPUT:
        known = ", ".join([*FROM_OUTPUT, *FROM_INPUT])
        raise ArgumentError(f"expected {name} to be None or one of {known}, got {act!r}")


def _fix(x: Any, size: int) -> str | None:
    for start in range(1, x.ndim):
        shape, count = tuple(x.shape[:start]), 1
        for n in x.shape[start:]:
            count *= n
        if count == size:
            lead = ", ".join([str(n) for n in shape])
            return f"x.reshape({lead}, -1) gives {(*shape, size)}"
    return None
