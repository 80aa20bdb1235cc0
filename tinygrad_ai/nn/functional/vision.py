"""Images larger and smaller: pixel shuffling and interpolation. And the bilinear form."""

from __future__ import annotations

import math
from typing import Any

from ... import backend
from ...errors import ArgumentError, ShapeError
from ...ops.arguments import raw
from ...ops.einsum import einsum
from ...ops.indexing import _getitem
from ...ops.shape import permute, reshape
from ...tensor import wrap

__all__ = ["bilinear", "interpolate", "pixel_shuffle", "pixel_unshuffle"]


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y[k] = x₁ᵀ W[k] x₂ + b[k]"""
    y = einsum("...i,kij,...j->...k", input1, weight, input2)
    return y if bias is None else y + bias


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(..., C r², H, W) to (..., C, H r, W r) (Shi et al., 2016)."""
    r, (*lead, c, h, w) = upscale_factor, input.shape
    if c % (r * r):
        raise ShapeError(f"pixel_shuffle: {c} channels do not divide by {r}²")
    x = reshape(input, (*lead, c // (r * r), r, r, h, w))
    n = len(lead)
    x = permute(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return reshape(x, (*lead, c // (r * r), h * r, w * r))


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(..., C, H r, W r) to (..., C r², H, W): the inverse of pixel_shuffle."""
    r, (*lead, c, h, w) = downscale_factor, input.shape
    if h % r or w % r:
        raise ShapeError(f"pixel_unshuffle: {h} x {w} does not divide by {r}")
    x = reshape(input, (*lead, c, h // r, r, w // r, r))
    n = len(lead)
    x = permute(x, (*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return reshape(x, (*lead, c * r * r, h // r, w // r))


MODES = {"nearest": 0, "linear": 1, "bilinear": 2}


def interpolate(
    input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None,
) -> Any:  # fmt: skip
    """(N, C, ...) in another size: "nearest", "linear" (3 dimensions) or "bilinear" (4).

    `align_corners` makes the corner pixels of both sizes coincide.
    """
    if mode not in MODES:
        raise ArgumentError(f"expected mode of {', '.join(MODES)}, got {mode!r}")
    rank = input.ndim - 2
    if mode != "nearest" and rank != MODES[mode]:
        raise ShapeError(f"mode {mode!r} expects {MODES[mode] + 2} dimensions, got {input.ndim}")
    if (size is None) == (scale_factor is None):
        raise ArgumentError("interpolate needs either size or scale_factor")
    factors = None
    if size is None:
        factors = (
            scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * rank
        )
        size = [math.floor(n * f) for n, f in zip(input.shape[2:], factors)]
        factors = None if recompute_scale_factor else factors
    size = [size] * rank if isinstance(size, int) else list(size)
    for i, out in enumerate(size):
        factor = None if factors is None else factors[i]
        work = _nearest if mode == "nearest" else _linear
        input = work(input, i + 2, out, factor, bool(align_corners))
    return input


def _nearest(x: Any, dim: int, out: int, factor: float | None, _: bool) -> Any:
    n = x.shape[dim]
    step = 1 / factor if factor else n / out
    be = backend.numpy
    index = be.minimum(be.floor(be.arange(out) * be.float32(step)).astype("int64"), n - 1)
    return _getitem(x, index=(slice(None),) * dim + (backend.beside(raw(x), index),))


def _linear(x: Any, dim: int, out: int, factor: float | None, corners: bool) -> Any:
    n, be = x.shape[dim], backend.numpy
    if corners:
        place = be.arange(out) * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        place = be.maximum((be.arange(out) + 0.5) * (1 / factor if factor else n / out) - 0.5, 0)
    low = be.minimum(be.floor(place).astype("int64"), n - 1)
    high = be.minimum(low + 1, n - 1)
    shape = [out if i == dim else 1 for i in range(x.ndim)]
    share = (place - low).astype(x.dtype).reshape(shape)
    low, high, share = [backend.beside(raw(x), v) for v in (low, high, share)]
    part = wrap(share)
    lead = (slice(None),) * dim
    return _getitem(x, index=(*lead, low)) * (1 - part) + _getitem(x, index=(*lead, high)) * part
