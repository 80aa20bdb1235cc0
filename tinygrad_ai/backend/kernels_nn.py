"""Kernels of layers and losses in plain array code. Their meaning; a compiled one must agree."""

from __future__ import annotations

from typing import Any

from .kernels import kernel


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


@kernel
def cross_entropy(be: Any, x: Any, target: Any, weight: Any) -> tuple[Any, Any]:
    """-w log softmax(x)[target] for each row of x (N, C), and log Σ eˣ of each row."""
    top = be.max(x, axis=1)
    lse = be.log(be.total(be.exp(x - top[:, None]), (1,), False)) + top
    loss = lse - x[be.arange(len(x)), target]
    return loss if weight is None else loss * weight, lse


@kernel
def cross_entropy_grad(be: Any, g: Any, x: Any, lse: Any, target: Any, weight: Any) -> Any:
    """g w (softmax(x) - onehot) for each row."""
    scale = g if weight is None else g * weight
    p = be.exp(x - lse[:, None])
    p[be.arange(len(x)), target] -= 1
    p *= scale[:, None]
    return p


@kernel
def layer_norm(be: Any, x: Any, eps: float) -> tuple[Any, Any]:
    """(x - mean) / √(var + ε) over the last dimension, and 1 / √(var + ε)."""
    centred = x - be.mean(x, axis=-1, keepdims=True)
    rstd = 1 / be.sqrt(be.mean(centred * centred, axis=-1, keepdims=True) + eps)
    centred *= rstd
    return centred, rstd


@kernel
def layer_norm_grad(be: Any, g: Any, y: Any, rstd: Any) -> Any:
    """(g - mean g - y mean(g y)) rstd"""
    out = g - be.mean(g, axis=-1, keepdims=True)
    out -= y * be.mean(g * y, axis=-1, keepdims=True)
    out *= rstd
    return out
