"""Layer normalisation with its weight and bias as one op, and its gradient as another."""

from __future__ import annotations

from ..autograd.op import op
from .reduce import mean, sum


@op(dtypes="same")
def _layer_norm(be, x, w=None, b=None, *, eps):
    """y = x̂ w + b along rows, x̂ = (x - m) r, r = 1 / √(var + ε); m and r;   g: layer_norm_grad"""
    return be.layer_norm(x, w, b, eps)


@_layer_norm.vjp
def _(g, y, x, w, needs, *, eps):
    gy, gm, gr = g
    _, m, r = y
    grads = (None,) * 3 if gy is None else _layer_norm_grad(gy, x, w, m, r)
    gx = grads[0]
    through = 0  # m is a mean;  dr/dx = -r² x̂ / n
    if gm is not None:
        through = through + gm
    if gr is not None:
        through = through - gr * r * r * r * (x - m)
    if gm is not None or gr is not None:
        through = (x * 0 + through) / x.shape[-1]
        gx = through if gx is None else gx + through
    return tuple([a if n else None for a, n in zip((gx, *grads[1:]), needs)])


@op(dtypes="same")
def _layer_norm_grad(be, g, x, w, m, r):
    """y = (u - mean u - x̂ mean(u x̂)) r, u = g w;  Σ g x̂ and Σ g;   the product rule in each"""
    return be.layer_norm_grad(g, x, w, m, r)


@_layer_norm_grad.vjp
def _(h, g, x, w, m, r):
    hx, hw, hb = h
    hat, u = (x - m) * r, g if w is None else g * w
    gg = ghat = gr = 0
    gw = None
    if hx is not None:
        hr, both = hx * r, mean(u * hat, -1, True)
        along = mean(hr * hat, -1, True)
        gu = hr - mean(hr, -1, True) - hat * along
        gg, gw = (gu, None) if w is None else (gu * w, gu * g)
        ghat = -hr * both - u * along
        gr = hx * (u - mean(u, -1, True) - hat * both)
    if hw is not None:
        gg, ghat = gg + hat * hw, ghat + g * hw
    if hb is not None:
        gg = g * 0 + gg + hb
    if hx is None and hw is None:
        return gg, None, None, None, None
    gx = ghat * r
    return gg, gx, gw, -sum(gx, -1, True), gr + ghat * (x - m)
