"""The fused cross entropy: log-softmax, the choice of the target's entry, the mean, in one op."""

from __future__ import annotations

from ..autograd.op import op
from .arithmetic import exp
from .reduce import sum
from .shape import unsqueeze


@op
def _cross_entropy(be, x, *, target, weight=None, scale=None):
    """y = w (log Σ eˣ - x[target]) per row, or s Σ y;   gx = g w (softmax x - onehot), times s"""
    return be.cross_entropy(x, target, weight, scale)


@_cross_entropy.vjp
def _(g, y, x, *, target, weight, scale):
    losses, lse = g
    gx = None
    if losses is not None:
        gx = _cross_entropy_grad(losses, x, y[1], target=target, weight=weight, scale=scale)
    if lse is not None:
        through = unsqueeze(lse, 1) * exp(x - unsqueeze(y[1], 1))
        gx = through if gx is None else gx + through
    return gx


@op
def _cross_entropy_grad(be, g, x, lse, *, target, weight=None, scale=None):
    """y = s g w (e^(x - lse) - onehot), g per row or one;   gg, gx, glse by the product rule"""
    return be.cross_entropy_grad(g, x, lse, target, weight, scale)


@_cross_entropy_grad.vjp
def _(h, g, x, lse, *, target, weight, scale):
    unit = _cross_entropy_grad(lse * 0 + 1, x, lse, target=target, weight=weight, scale=scale)
    factor = g if scale is None else g * scale
    factor = lse * 0 + (factor if weight is None else factor * weight)
    through = h * exp(x - unsqueeze(lse, 1)) * unsqueeze(factor, 1)
    return sum(h * unit, 1), through, -sum(through, 1)
