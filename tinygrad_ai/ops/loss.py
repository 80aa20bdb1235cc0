"""The fused cross entropy: log-softmax and the choice of the target's entry in one op."""

from __future__ import annotations

from ..autograd.op import op
from .arithmetic import exp
from .reduce import sum
from .shape import unsqueeze


@op
def _cross_entropy(be, x, *, target, weight):
    """y = w (log Σ eˣ - x[target]) per row;   gx = g w (softmax x - onehot)"""
    return be.cross_entropy(x, target, weight)


@_cross_entropy.vjp
def _(g, y, x, *, target, weight):
    losses, lse = g
    gx = None
    if losses is not None:
        gx = _cross_entropy_grad(losses, x, y[1], target=target, weight=weight)
    if lse is not None:
        through = unsqueeze(lse, 1) * exp(x - unsqueeze(y[1], 1))
        gx = through if gx is None else gx + through
    return gx


@op
def _cross_entropy_grad(be, g, x, lse, *, target, weight):
    """y = g w (e^(x - lse) - onehot);   gg, gx, glse by the product rule"""
    return be.cross_entropy_grad(g, x, lse, target, weight)


@_cross_entropy_grad.vjp
def _(h, y, g, x, lse, needs, *, target, weight):
    p = exp(x - unsqueeze(lse, 1))
    scale = g if weight is None else g * weight
    through = h * p * unsqueeze(scale, 1)
    unit = _cross_entropy_grad(g * 0 + 1, x, lse, target=target, weight=weight)
    return sum(h * unit, 1), through, -sum(through, 1)
