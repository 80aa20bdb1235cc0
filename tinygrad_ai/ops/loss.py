"""The fused cross entropy: log-softmax, the choice of the target's entry, the mean, in one op."""

from __future__ import annotations

import math

from ..autograd.op import op
from .arithmetic import exp
from .create import ones_like
from .reduce import sum
from .shape import unsqueeze


@op
def _cross_entropy(be, x, *, target, weight=None, ignore=-100, reduction="mean"):
    """y = w (log Σ eˣ - x[target]) per row, their mean or sum;   gx = g w (softmax x - onehot)"""
    return be.cross_entropy(x, target, weight, ignore, reduction)


@_cross_entropy.vjp
def _(g, y, x, *, target, weight, ignore, reduction):
    losses, lse = g
    how = {"target": target, "weight": weight, "ignore": ignore, "reduction": reduction}
    gx = None
    if losses is not None:
        gx = _cross_entropy_grad(losses, x, y[1], **how)
    if lse is not None:
        through = unsqueeze(lse, 1) * exp(x - unsqueeze(y[1], 1))
        gx = through if gx is None else gx + through
    return gx


@op
def _cross_entropy_grad(be, g, x, lse, *, target, weight=None, ignore=-100, reduction="mean"):
    """y = g w (e^(x - lse) - onehot), g per row or one;   gg, gx, glse by the product rule"""
    return be.cross_entropy_grad(g, x, lse, target, weight, ignore, reduction)


@_cross_entropy_grad.vjp
def _(h, g, x, lse, *, target, weight, ignore, reduction):
    how = {"target": target, "weight": weight, "ignore": ignore, "reduction": reduction}
    one = ones_like(lse)
    unit = _cross_entropy_grad(one, x, lse, **how)
    onehot = _cross_entropy_grad(one, x, one * math.inf, **how)  # the rest is e^(x - ∞) = 0
    through = h * (unit - onehot) * (unsqueeze(g, 1) if g.ndim else g)
    return sum(h * unit, 1), through, -sum(through, 1)
