"""Kernels of layers and losses in plain array code. Their meaning; a compiled one must agree."""

from __future__ import annotations

from typing import Any

from ..errors import RangeError
from .capture import may_wait
from .kernels import kernel, rows


@kernel
def softmax(be: Any, x: Any, dim: int) -> Any:
    """eˣ / Σ eˣ along dim, from x minus its maximum."""
    e = be.exp(x - be.max(x, axis=dim, keepdims=True, initial=-be.inf).astype(x.dtype))
    e /= be.total(e, (dim,), True)
    return e


@kernel
def log_softmax(be: Any, x: Any, dim: int) -> Any:
    """x - log Σ eˣ along dim."""
    z = x - be.max(x, axis=dim, keepdims=True, initial=-be.inf).astype(x.dtype)
    z -= be.log(be.total(be.exp(z), (dim,), True))
    return z


def check_labels(labels: Any, classes: int, ignore: int) -> None:
    """RangeError for a label that is neither `ignore` nor in [0, classes)."""
    wrong = (labels != ignore) & ((labels < 0) | (labels >= classes))
    if may_wait() and wrong.any():
        at = int(wrong.argmax())
        raise RangeError(
            f"expected labels from 0 to {classes - 1}, got {int(labels[at])} at position {at}",
            "the last layer needs as many outputs as there are classes",
        )


def row_weights(
    be: Any, labels: Any, classes: int, dtype: Any, weight: Any, ignore: int
) -> tuple[Any, Any]:
    """Labels that may index, and each row's weight: that of its class, 0 where it is ignored."""
    check_labels(labels, classes, ignore)
    counts = labels != ignore
    safe = be.xp.where(counts, labels, 0)
    return safe, (counts if weight is None else counts * weight[safe]).astype(dtype)


@kernel
def label_weights(be: Any, x: Any, target: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """What the loss of each row of x is multiplied by: its weight, for the mean over Σ w."""
    w = row_weights(be, target, x.shape[1], x.dtype, weight, ignore)[1]
    return (w / w.sum() if reduction == "mean" else w)[:, None]


@kernel
def softmax_grad(be: Any, g: Any, y: Any, dim: int) -> Any:
    """y (g - Σ g y) along dim."""
    return y * (g - be.total(g * y, (dim,), True))


@kernel
def log_softmax_grad(be: Any, g: Any, y: Any, dim: int) -> Any:
    """g - eʸ Σ g along dim."""
    return g - be.exp(y) * be.total(g, (dim,), True)


@kernel
def cross_entropy(be: Any, x: Any, target: Any, weight: Any, ignore: int, reduction: str) -> Any:
    """-w log softmax(x)[target] for each row of x (N, C), w the weight of the target's class.

    A row whose target is `ignore` has loss 0. By `reduction` the losses are summed, or their mean
    taken, which divides by Σ w.
    """
    safe, w = row_weights(be, target, x.shape[1], x.dtype, weight, ignore)
    z = (
        x - be.max(x, axis=1, initial=-be.inf)[:, None]
    )  # before log Σ: a large x would round it away
    loss = (be.log(be.total(be.exp(z), (1,), False)) - z[be.arange(len(x)), safe]) * w
    loss = be.xp.where(target != ignore, loss, 0).astype(x.dtype)
    if reduction == "none":
        return loss
    total = be.total(loss, (0,), False)
    return total / w.sum() if reduction == "mean" else total


@kernel
def cross_entropy_grad(
    be: Any, g: Any, x: Any, target: Any, weight: Any, ignore: int, reduction: str
) -> Any:
    """g w (softmax(x) - onehot) for each row, over Σ w for the mean; g for each row, or one."""
    w = be.label_weights(x, target, weight, ignore, reduction)
    p = be.softmax(x, 1)
    counts = target != ignore
    p[be.flatnonzero(counts), target[counts]] -= 1
    p *= w * (g[:, None] if g.ndim else g)
    p[~counts] = 0
    return p


@kernel
def layer_norm(be: Any, x: Any, w: Any, b: Any, eps: float) -> tuple[Any, Any, Any]:
    """x̂ w + b along the last dimension, x̂ = (x - mean) / √(var + ε); mean and 1 / √(var + ε)."""
    mean = be.mean(x, axis=-1, keepdims=True)
    y = x - mean
    rstd = 1 / be.sqrt(be.mean(y * y, axis=-1, keepdims=True) + eps)
    y *= rstd
    if w is not None:
        y *= w
    if b is not None:
        y += b
    return y, mean, rstd


@kernel
def layer_norm_grad(be: Any, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> tuple[Any, Any, Any]:
    """(u - mean u - x̂ mean(u x̂)) rstd with u = g w;  Σ g x̂ and Σ g over all rows."""
    hat = (x - mean) * rstd
    u = g if w is None else g * w
    gx = u - be.mean(u, axis=-1, keepdims=True)
    gx -= hat * be.mean(u * hat, axis=-1, keepdims=True)
    gx *= rstd
    return gx, be.total(rows(g * hat), (0,), False), be.total(rows(g), (0,), False)


@kernel
def dropout(be: Any, x: Any, keep: Any, scale: float) -> Any:
    """scale x where `keep` holds, else 0 x: infinities and NaN are not dropped, as in PyTorch."""
    return x * be.xp.where(keep, x.dtype.type(scale), x.dtype.type(0))


@kernel
def embedding(be: Any, w: Any, index: Any) -> Any:
    """Rows of the table w: w[index]."""
    return w[index]


def shares(be: Any, g: Any, index: Any, by_frequency: bool, rows: int) -> tuple[Any, Any]:
    """What each use of a row of the table adds to its gradient, and the row's number."""
    flat, places = g.reshape(-1, g.shape[-1]), index.reshape(-1)
    if by_frequency:
        counts = be.bincount(places, minlength=rows)
        flat = flat / counts[places][:, None].astype(g.dtype)
    return flat, places


@kernel
def embedding_grad(
    be: Any, g: Any, index: Any, padding: int | None, by_frequency: bool, rows: int
) -> Any:
    """For each row of the table the sum of g (..., features) over the places it was used at."""
    flat, places = shares(be, g, index, by_frequency, rows)
    if padding is not None:
        flat, places = flat[places != padding], places[places != padding]
    y = be.zeros((rows, g.shape[-1]), g.dtype)
    order = be.argsort(places, kind="stable")
    ordered = places[order]
    starts = be.flatnonzero(be.diff(ordered, prepend=-1))
    if starts.size:
        y[ordered[starts]] = be.add.reduceat(flat[order], starts, axis=0)
    return y


def scores(be: Any, q: Any, k: Any, bias: Any, scale: float, causal: bool) -> Any:
    """scale q kᵀ + bias; if causal, -inf for keys after the query's own place."""
    s = be.matmul(q, be.swapaxes(k, -1, -2))
    s *= scale
    if bias is not None:
        s = s + bias
    if causal:
        s = be.where(be.tri(*s.shape[-2:], dtype=bool), s, -be.inf).astype(s.dtype, copy=False)
    return s


@kernel
def attention(
    be: Any, q: Any, k: Any, v: Any, bias: Any, scale: float, causal: bool, keep: Any, grow: float
) -> tuple[Any, Any]:
    """softmax(scores) v, and log Σ exp of each row of scores. With a mask `keep`, the probabilities
    are times `grow` where it holds, else 0.

    A row with no finite score has probabilities 0 (and counts as log-sum 0), as in PyTorch. The
    log-sums are float32 at least: in 16 bits, e^(score - log-sum) would be off by percents.
    """
    e = scores(be, q, k, bias, scale, causal)
    top = be.max(e, axis=-1, keepdims=True, initial=-be.inf)
    top = be.xp.where(be.isfinite(top), top, 0).astype(e.dtype)
    e = be.exp(e - top)
    total = be.total(e, (e.ndim - 1,), True)
    total[total == 0] = 1
    p = e / total if keep is None else be.dropout(e / total, keep, grow)
    wide = be.result_type(e.dtype, "float32")
    return be.matmul(p, v), (be.log(total.astype(wide, copy=False)) + top)[..., 0]


@kernel
def attention_grad(
    be: Any, g: Any, q: Any, k: Any, v: Any, bias: Any, y: Any, lse: Any, scale: float,
    causal: bool, keep: Any, grow: float, with_scores: bool,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of q, k, v and, if asked, of the scores; lse gives the probabilities again."""
    p = be.exp(scores(be, q, k, bias, scale, causal) - lse[..., None]).astype(q.dtype, copy=False)
    kept = p if keep is None else be.dropout(p, keep, grow)
    gv = be.matmul(be.swapaxes(kept, -1, -2), g)
    gp = be.matmul(g, be.swapaxes(v, -1, -2))
    gp = gp if keep is None else be.dropout(gp, keep, grow)
    gs = p * (gp - be.total(g * y, (g.ndim - 1,), True))
    gq = be.matmul(gs, k) * scale
    gk = be.matmul(be.swapaxes(gs, -1, -2), q) * scale
    return (gq, gk, gv, gs) if with_scores else (gq, gk, gv)


@kernel
def windows(
    be: Any, x: Any, size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    """A view (N, C, out..., size...) of all windows over the last dimensions of x (N, C, ...)."""
    rank = len(size)
    span = tuple([d * (n - 1) + 1 for n, d in zip(size, dilation)])
    view = be.lib.stride_tricks.sliding_window_view(x, span, tuple(range(2, 2 + rank)))
    step = tuple([slice(None, None, s) for s in stride])
    inner = tuple([slice(None, None, d) for d in dilation])
    return view[(slice(None), slice(None)) + step + inner]


@kernel
def unwindow(
    be: Any, w: Any, shape: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Any:
    """Windows (N, C, out..., size...) added back to where they came from: (N, C, ...)."""
    rank = len(stride)
    y = be.zeros(shape, w.dtype)
    out, size = w.shape[2 : 2 + rank], w.shape[2 + rank :]
    for place in be.ndindex(*size):
        where = tuple(
            [
                slice(k * d, k * d + s * (n - 1) + 1, s)
                for k, d, s, n in zip(place, dilation, stride, out)
            ]
        )
        y[(slice(None), slice(None)) + where] += w[(Ellipsis,) + place]
    return y
