"""The fused layer normalisation."""

from __future__ import annotations

from ..autograd.op import op
from .reduce import mean, sum


@op
def _layer_norm(be, x, *, eps):
    """y = (x - mean) r, r = 1 / √(var + ε) along rows;   gx = (g - mean g - y mean gy) r"""
    return be.layer_norm(x, eps)


@_layer_norm.vjp
def _(g, y, x, *, eps):
    gy, gr = g
    hat, r = y
    gx = None
    if gy is not None:
        gx = _layer_norm_grad(gy, hat, r)
    if gr is not None:  # dr/dx = -r² (x - mean) r / n, and (x - mean) r = y
        through = sum(gr, -1, True) * (-r * r) * hat / x.shape[-1]
        gx = through if gx is None else gx + through
    return gx


@op
def _layer_norm_grad(be, g, hat, r):
    """y = (g - mean g - x̂ mean(g x̂)) r;   the product rule in g, x̂ and r"""
    return be.layer_norm_grad(g, hat, r)


@_layer_norm_grad.vjp
def _(h, g, hat, r):
    hr, both = h * r, mean(g * hat, -1, True)
    along = mean(hr * hat, -1, True)
    gg = hr - mean(hr, -1, True) - hat * along
    return gg, -hr * both - g * along, h * (g - mean(g, -1, True) - hat * both)
