"""Scaled dot-product attention as one op, and its gradient as another."""

from __future__ import annotations

from ..autograd.op import op
from .arithmetic import exp
from .matmul import _matmul
from .reduce import sum
from .shape import transpose, unsqueeze


@op(dtypes="same")
def _attention(be, q, k, v, bias=None, *, scale):
    """y = softmax(s) v, s = scale q kᵀ + bias, and lse = log Σ eˢ;   g: attention_grad"""
    return be.attention(q, k, v, bias, scale)


@_attention.vjp
def _(g, y, q, k, v, bias, needs, *, scale):
    gy, glse = g
    grads = (None,) * 4
    if gy is not None:
        grads = _attention_grad(gy, q, k, v, bias, y[0], y[1], scale=scale)
    if glse is not None:
        gs = probabilities(q, k, bias, y[1], scale) * unsqueeze(glse, -1)
        more = (_matmul(gs, k) * scale, _matmul(transpose(gs, -2, -1), q) * scale, None, gs)
        grads = tuple([b if a is None else a if b is None else a + b for a, b in zip(grads, more)])
    return (*grads[:3], grads[3] if len(needs) > 3 and needs[3] else None)


def probabilities(q, k, bias, lse, scale):
    """softmax of the scores, from their log-sum-exp."""
    scores = _matmul(q, transpose(k, -2, -1)) * scale
    return exp((scores if bias is None else scores + bias) - unsqueeze(lse, -1))


@op(dtypes="same")
def _attention_grad(be, g, q, k, v, bias, o, lse, *, scale):
    """gs = p (g vᵀ - Σ g o), p = e^(s - lse);   gq = scale gs k,  gk = scale gsᵀ q,  gv = pᵀ g"""
    return be.attention_grad(g, q, k, v, bias, o, lse, scale)


@_attention_grad.vjp
def _(h, g, q, k, v, bias, o, lse, *, scale):
    return second_order(h, g, q, k, v, bias, o, lse, scale)


def second_order(h, g, q, k, v, bias, o, lse, scale):
    """The rule of attention_grad, by the product rule on p, gs and the three products."""
    hq, hk, hv, hs = h
    p = probabilities(q, k, bias, lse, scale)
    inner = _matmul(g, transpose(v, -2, -1)) - sum(g * o, -1, True)  # gs = p inner
    gs = p * inner
    total = 0 if hs is None else hs  # what reaches gs
    gq = gk = gg = gv = 0
    if hq is not None:
        total = total + _matmul(hq, transpose(k, -2, -1)) * scale
        gk = gk + _matmul(transpose(gs, -2, -1), hq) * scale
    if hk is not None:
        total = total + _matmul(q, transpose(hk, -2, -1)) * scale
        gq = gq + _matmul(gs, hk) * scale
    through_p = total * inner  # what reaches p
    if hv is not None:
        through_p = through_p + _matmul(g, transpose(hv, -2, -1))
        gg = gg + _matmul(p, hv)
    into = p * total  # what reaches inner
    row = sum(into, -1, True)
    gg = gg + _matmul(into, v) - row * o
    gv = gv + _matmul(transpose(into, -2, -1), g)
    gscores = p * through_p
    gq = gq + _matmul(gscores, k) * scale
    gk = gk + _matmul(transpose(gscores, -2, -1), q) * scale
    glse = -sum(gscores, -1)
    return gg, gq, gk, gv, None if bias is None else gscores, -row * g, glse
