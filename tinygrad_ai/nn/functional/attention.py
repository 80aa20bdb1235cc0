"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from ... import backend
from ...errors import ArgumentError, ShapeError
from ...ops.arguments import raw
from ...ops.attention import _attention
from ...ops.select import where
from ...ops.shape import broadcast_shapes, broadcast_to, repeat_interleave
from ...tensor import wrap
from .dropout import mask_of

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
) -> Any:  # fmt: skip
    """softmax(query keyᵀ scale + mask) value (Vaswani et al., 2017).

    query (..., L, E), key (..., S, E), value (..., S, Ev). A boolean mask is True where attention
    is allowed, a float mask is added; `is_causal` allows places up to the query's own. `scale`
    is 1 / √E unless given; `enable_gqa` repeats key and value heads to query's number.
    """
    if query.ndim < 2 or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        shapes = ", ".join([str(tuple(x.shape)) for x in (query, key, value)])
        raise ShapeError(
            f"expected query (..., L, E), key (..., S, E), value (..., S, Ev), got {shapes}"
        )
    if is_causal and attn_mask is not None:
        raise ArgumentError("is_causal and attn_mask exclude each other")
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = [repeat_interleave(x, times, -3) for x in (key, value)]
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    bias = _bias(query, attn_mask)
    lead = broadcast_shapes(*[tuple(x.shape[:-2]) for x in (query, key, value)])
    query, key, value = [broadcast_to(x, (*lead, *x.shape[-2:])) for x in (query, key, value)]
    keep, grow = None, 1.0
    if dropout_p != 0.0:
        keep, grow = mask_of((*lead, query.shape[-2], key.shape[-2]), dropout_p, query)
    return _attention(query, key, value, bias, scale=scale, causal=is_causal, keep=keep, grow=grow)[
        0
    ]


def _bias(query: Any, mask: Any) -> Any:
    """What is added to the scores: the mask as numbers, -inf where attention is forbidden."""
    if mask is not None and raw(mask).dtype.kind == "b":
        return where(mask, wrap(backend.near(raw(query)).zeros((), query.dtype)), -math.inf)
    return mask
