"""Scaled dot-product attention as one op, and its gradient as another."""

from __future__ import annotations

import math

from .. import backend
from ..autograd.op import op
from ..autograd.promote import cast
from .arguments import raw
from .arithmetic import exp
from .dropout import _dropout
from .matmul import _matmul
from .reduce import sum
from .select import where
from .shape import transpose, unsqueeze


@op(dtypes="same")
def _attention(be, q, k, v, bias=None, *, scale, causal=False, keep=None, grow=1.0):
    """y[0] = (m p) @ v,  y[1] = l[…, 0],  p = e^(s - l),  l = logsumexp(s),  m = [keep] grow,
    s = scale q @ kᵀ + bias + future(q, k, causal);   gv = (m p)ᵀ @ g[0],
    gs = p (m (g[0] @ vᵀ) - Σ g[0] y[0] + g[1][…, None]),  gbias = gs,
    gq = scale gs @ k,  gk = scale gsᵀ @ q

    m drops out: a probability is times `grow` where the mask `keep` holds, else 0. future is -∞ for
    keys after the query's own place if causal, else 0.
    """
    return be.attention(q, k, v, bias, scale, causal, keep, grow)


@_attention.vjp
def _(g, y, q, k, v, bias, needs, *, scale, causal, keep, grow):
    gy, glse = g
    wants = len(needs) > 3 and bool(needs[3])  # only then are the scores' gradients kept
    how = {"scale": scale, "causal": causal, "keep": keep, "grow": grow, "scores": wants}
    grads = (None,) * 4
    if gy is not None:
        grads = _attention_grad(gy, q, k, v, bias, y[0], y[1], **how)
    if glse is not None:
        gs = probabilities(q, k, bias, y[1], scale, causal) * unsqueeze(near(glse, q), -1)
        more = (_matmul(gs, k) * scale, _matmul(transpose(gs, -2, -1), q) * scale, None, gs)
        grads = tuple([b if a is None else a if b is None else a + b for a, b in zip(grads, more)])
    return grads if wants else grads[:3]


def probabilities(q, k, bias, lse, scale, causal):
    """softmax of the scores, from their log-sum-exp."""
    scores = _matmul(q, transpose(k, -2, -1)) * scale
    scores = scores if bias is None else scores + bias
    if causal:
        allowed = backend.of(raw(scores)).tri(*scores.shape[-2:], dtype=bool)
        scores = where(allowed, scores, -math.inf)
    return near(exp(scores - unsqueeze(lse, -1)), q)


def near(x, q):
    """x in q's dtype: log-sums are float32 beside numbers of 16 bits."""
    return x if x.dtype == q.dtype else cast(x, dtype=q.dtype)


@op
def _attention_grad(be, g, q, k, v, bias, o, lse, *, scale, causal, keep, grow, scores):
    """y[0] = scale gs @ k,  y[1] = scale gsᵀ @ q,  y[2] = (m p)ᵀ @ g,  y[3] = gs,  gs = p c,
    c = m (g @ vᵀ) - Σ g o,  p = e^(s - lse[…, None]),  m = [keep] grow,
    s = scale q @ kᵀ + bias + future(q, k, causal);
    t = h[3] + scale h[0] @ kᵀ + scale q @ h[1]ᵀ,  d = p t,  r = Σ d,  u = p (t c + m (g @ h[2]ᵀ)),
    gg = (m p) @ h[2] + (m d) @ v - r o,  gq = scale gs @ h[1] + scale u @ k,
    gk = scale gsᵀ @ h[0] + scale uᵀ @ q,  gv = (m d)ᵀ @ g,  gbias = u,  go = -r g,
    glse = -(Σ u)[…, 0]

    The names are attention's, whose results are o and lse; y[3] only if `scores` asks for it.
    """
    return be.attention_grad(g, q, k, v, bias, o, lse, scale, causal, keep, grow, scores)


@_attention_grad.vjp
def _(h, g, q, k, v, bias, o, lse, *, scale, causal, keep, grow):
    def d(x):
        return x if keep is None else _dropout(x, keep=keep, scale=grow)

    p = probabilities(q, k, bias, lse, scale, causal)
    return second_order(h if len(h) > 3 else (*h, None), g, q, k, v, bias, o, p, scale, d)


def second_order(h, g, q, k, v, bias, o, p, scale, d):
    """The rule of attention_grad, by the product rule on p, gs and the three products."""
    hq, hk, hv, hs = h
    inner = d(_matmul(g, transpose(v, -2, -1))) - sum(g * o, -1, True)  # gs = p inner
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
        through_p = through_p + d(_matmul(g, transpose(hv, -2, -1)))
        gg = gg + _matmul(d(p), hv)
    into = p * total  # what reaches inner
    row = sum(into, -1, True)
    gg = gg + _matmul(d(into), v) - row * o
    gv = gv + _matmul(transpose(d(into), -2, -1), g)
    gscores = p * through_p
    gq = gq + _matmul(gscores, k) * scale
    gk = gk + _matmul(transpose(gscores, -2, -1), q) * scale
    glse = -sum(gscores, -1)
    return gg, gq, gk, gv, None if bias is None else gscores, -row * g, glse
