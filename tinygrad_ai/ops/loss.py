"""The fused cross entropy: log-softmax, the choice of the target's entry, the mean, in one op."""

from __future__ import annotations

from ..autograd.op import op
from .create import ones_like
from .reduce import sum
from .shape import unsqueeze
from .softmax import softmax


@op
def _cross_entropy(be, x, *, target, weight=None, ignore=-100, reduction="mean"):
    """y = joined(w (ln (Σ eᶻ) - picked(z, target, ignore)), reduction),  z = x - max x,
    w = row_weights(target, weight, ignore, reduction);
    gx = g[…, None] w (eᶻ / Σ eᶻ - onehot(target, ignore, x_shape))

    w is each row's weight, 0 where its label is ignored; for the mean over Σ w.
    """
    return be.cross_entropy(x, target, weight, ignore, reduction)


@_cross_entropy.vjp
def _(g, x, *, target, weight, ignore, reduction):
    how = {"target": target, "weight": weight, "ignore": ignore, "reduction": reduction}
    return _cross_entropy_grad(g, x, **how)


@op
def _cross_entropy_grad(be, g, x, *, target, weight=None, ignore=-100, reduction="mean"):
    """y = g[…, None] w (p - t),  p = eᶻ / Σ eᶻ,  z = x - max x,
    t = onehot(target, ignore, x_shape),  w = row_weights(target, weight, ignore, reduction);
    gg = joined(Σ h w (p - t), reduction),  s = h g[…, None] w,  gx = p (s - Σ s p)"""
    return be.cross_entropy_grad(g, x, target, weight, ignore, reduction)


@_cross_entropy_grad.vjp
def _(h, g, x, *, target, weight, ignore, reduction):
    how = {"target": target, "weight": weight, "ignore": ignore, "reduction": reduction}
    unit = _cross_entropy_grad(ones_like(sum(x, 1)), x, **how)
    p = softmax(x, 1)
    scaled = h * (unsqueeze(g, 1) if g.ndim else g) * _row_weights(x, **how)
    gx = p * (scaled - sum(scaled * p, 1, keepdim=True))
    return (sum(h * unit, 1) if g.ndim else sum(h * unit)), gx


@op
def _row_weights(be, x, *, target, weight=None, ignore=-100, reduction="mean"):
    """y = the weight of each row's class, over their sum for the mean, as a column;   gx = 0"""
    return be.label_weights(x, target, weight, ignore, reduction)
