"""The fused linear layer: product, bias and activation in one op."""

from __future__ import annotations

from typing import Any

from ..autograd.op import op
from ..errors import ArgumentError, ShapeError
from .activation import FROM_INPUT, FROM_OUTPUT, act_grad
from .matmul import _matmul
from .shape import reshape, transpose

__all__ = ["linear"]


@op(dtypes="same")
def _linear(be, x, w, b=None, *, act=None):
    """y = f(x wᵀ + b);   gz = g f'(y),  gx = gz w,  gw = gzᵀ x,  gb = Σ gz"""
    return be.linear(x, w, b, act)


@_linear.vjp
def _(g, y, x, w, needs, *, act):
    return products(act_grad(g, y, act=act), x, w, needs)


@op(dtypes="same")
def _linear_z(be, x, w, b=None, *, act):
    """y = f(z), z = x wᵀ + b;   gz = g f'(z), then as linear; z is kept because f' needs it"""
    z = be.linear(x, w, b, None)
    return be.activate(z, act), z


@_linear_z.vjp
def _(g, y, x, w, needs, *, act):
    gy, gz = g
    if gy is not None:
        slope = act_grad(gy, y[1], act=act)
        gz = slope if gz is None else gz + slope
    return products(gz, x, w, needs)


def products(gz: Any, x: Any, w: Any, needs: Any) -> tuple[Any, Any, Any]:
    """The gradients of x, w and b from that of z; only those that are needed."""
    gx = _matmul(gz, w) if needs[0] else None
    gw = None
    if needs[1]:
        rows = reshape(gz, (-1, gz.shape[-1]))
        gw = _matmul(transpose(rows, 0, 1), reshape(x, (-1, x.shape[-1])))
    return gx, gw, gz if len(needs) > 2 and needs[2] else None


def linear(input: Any, weight: Any, bias: Any = None, *, act: str | None = None) -> Any:
    """f(input weightᵀ + bias): input (..., in), weight (out, in), bias (out) or None.

    `act` (our addition to PyTorch's signature) is the activation f: None, "relu", "leaky_relu",
    "sigmoid", "tanh", "gelu", "gelu_tanh" or "silu". ShapeError if the sizes do not fit.
    """
    if weight.ndim == 1:
        return linear(input, reshape(weight, (1, -1)), bias, act=act)[..., 0]
    if not input.ndim or input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"expected x.shape[-1] == {weight.shape[-1]}, got {tuple(input.shape)}",
            _fix(input, weight.shape[-1]),
        )
    if input.ndim == 1:
        return linear(reshape(input, (1, -1)), weight, bias, act=act)[0]
    if act in FROM_INPUT:
        return _linear_z(input, weight, bias, act=act)[0]
    if act is not None and act not in FROM_OUTPUT:
        known = ", ".join([*FROM_OUTPUT, *FROM_INPUT])
        raise ArgumentError(f"expected act to be None or one of {known}, got {act!r}")
    return _linear(input, weight, bias, act=act)


def _fix(x: Any, size: int) -> str | None:
    for start in range(1, x.ndim):
        shape, count = tuple(x.shape[:start]), 1
        for n in x.shape[start:]:
            count *= n
        if count == size:
            lead = ", ".join([str(n) for n in shape])
            return f"x.reshape({lead}, -1) gives {(*shape, size)}"
    return None
