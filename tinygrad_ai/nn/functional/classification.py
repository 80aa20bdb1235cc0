"""Losses of classifiers: scores for every class against labels."""

from __future__ import annotations

import math
from typing import Any

from ... import backend
from ...autograd.placement import placed
from ...backend.dtypes import int64 as INT64
from ...backend.kernels_nn import row_weights
from ...errors import ArgumentError, DTypeError, ShapeError
from ...ops.arguments import raw
from ...ops.elementwise import clamp
from ...ops.indexing import _getitem
from ...ops.loss import _cross_entropy
from ...ops.reduce import sum
from ...ops.select import where
from ...ops.shape import movedim, reshape
from ...ops.softmax import log_softmax
from ...tensor import wrap
from .loss import reduced

__all__ = ["cross_entropy", "multi_margin_loss", "multilabel_margin_loss", "nll_loss"]


def rows(input: Any, target: Any) -> tuple[Any, Any]:
    """Scores as (N, C) and class indices as an array (N): classes are in dimension 1, or 0."""
    if input.ndim == 2 and target.ndim == 1 and len(target.array) == len(input.array):
        return input, integers(target)
    scores = input.ndim and movedim(input, 1 if input.ndim > 1 else 0, -1)
    if not input.ndim or tuple(scores.shape[:-1]) != tuple(target.shape):
        raise ShapeError(
            f"expected one label for each row of scores, got scores {tuple(input.shape)} "
            f"and labels {tuple(target.shape)}",
            "scores (N, C) go with labels (N)",
        )
    return reshape(scores, (-1, scores.shape[-1])), integers(target)


def integers(target: Any) -> Any:
    """Class labels as an array in one dimension."""
    labels = raw(target).reshape(-1)
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"expected integer class labels, got {labels.dtype}", "target.long()")
    return labels if labels.dtype is INT64 else backend.near(labels).converted(labels, INT64)


def cross_entropy(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """-log softmax(input) at the target: input (N, C, ...), target (N, ...) class indices, or
    probabilities in input's shape. `weight` (C) scales the classes; the mean divides by the
    weights used. RangeError for a label outside [0, C).
    """
    if input.dtype.kind not in "fV":
        raise DTypeError(f"expected floating-point scores, got {input.dtype}", "input.float()")
    if target.dtype.kind in "fV":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    if label_smoothing:
        return _smoothed(input, target, weight, ignore_index, reduction, label_smoothing)
    x, labels = rows(input, target)
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    weight = None if weight is None else raw(weight)
    loss = _cross_entropy(x, target=labels, weight=weight, ignore=ignore_index, reduction=reduction)
    return reshape(loss, target.shape) if reduction == "none" else loss


@placed
def weights_of(x: Any, labels: Any, weight: Any, ignore_index: int) -> tuple[Any, Any]:
    """Labels that may index, and each row's weight: that of its class, 0 where it is ignored."""
    weight = None if weight is None else raw(weight)
    return row_weights(backend.of(labels), labels, x.shape[1], x.dtype, weight, ignore_index)


def _rows(labels: Any) -> Any:
    """The numbers of the rows that labels belong to."""
    return backend.of(labels).arange(len(labels))


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, reduction: str, smoothing: float
) -> Any:
    if input.shape != target.shape:
        raise ShapeError(
            f"expected probabilities of shape {tuple(input.shape)}, got {tuple(target.shape)}"
        )
    dim = 1 if input.ndim > 1 else 0
    classes = input.shape[dim]
    target = target * (1 - smoothing) + smoothing / classes if smoothing else target
    logs = log_softmax(input, dim)
    if weight is not None:
        logs = logs * reshape(weight, [-1 if i == dim else 1 for i in range(input.ndim)])
    losses = -sum(logs * target, dim)
    if reduction == "mean":
        return sum(losses) / (losses.numel() or math.nan)
    return reduced(losses, reduction)


@placed
def _smoothed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """Label smoothing: (1 - ε) of the loss, and ε of the mean loss over all classes."""
    x, labels = rows(input, target)
    safe, counts = weights_of(x, labels, None, ignore_index)
    mask = wrap(counts)
    logs = log_softmax(x, 1)
    scale = wrap(raw(weight)[safe]) * mask if weight is not None else mask
    chosen = -_getitem(logs, index=(_rows(safe), safe)) * scale
    spread = -sum(logs if weight is None else logs * weight, 1) * mask
    if reduction == "mean":
        total = sum(scale)
        chosen, spread = sum(chosen) / total, sum(spread) / total
        return (1 - smoothing) * chosen + smoothing / x.shape[1] * spread
    losses = (1 - smoothing) * chosen + smoothing / x.shape[1] * spread
    return reduced(reshape(losses, target.shape), reduction)


@placed
def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-input at the target: input (N, C, ...) are log-probabilities, target (N, ...) classes."""
    x, labels = rows(input, target)
    safe, factor = weights_of(x, labels, weight, ignore_index)
    losses = -_getitem(x, index=(_rows(safe), safe)) * wrap(factor)
    if reduction == "mean":
        return sum(losses) / float(factor.sum()) if factor.sum() else sum(losses) * math.nan
    return reduced(reshape(losses, target.shape), reduction)


@placed
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """Σ max(0, margin - x[y] + x[i])ᵖ / C over the wrong classes i."""
    x, labels = rows(reshape(input, (1, -1)) if input.ndim == 1 else input, target.reshape(-1))
    weights_of(x, labels, None, ignore_index=-1)  # checks the labels
    place = _rows(labels)
    right = _getitem(x, index=(place, labels))
    excess = clamp(margin - reshape(right, (-1, 1)) + x, min=0)
    excess = excess if p == 1 else excess * excess
    if weight is not None:
        excess = excess * reshape(_getitem(weight, index=labels), (-1, 1))
    classes = backend.of(labels).arange(x.shape[1])
    wrong = wrap((classes != labels[:, None]).astype(raw(x).dtype))
    return reduced(reshape(sum(excess * wrong, 1) / x.shape[1], target.shape), reduction)


@placed
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Σ max(0, 1 - x[y] + x[i]) / C over labels y (up to the first -1) and other classes i."""
    x, labels = reshape(input, (-1, input.shape[-1])), raw(target).reshape(-1, target.shape[-1])
    be = backend.of(labels)
    valid = be.cumprod(labels >= 0, axis=1).astype(bool)
    place, classes = _rows(labels)[:, None], x.shape[1]
    safe = where(valid, labels, 0)
    is_label = be.zeros(labels.shape, bool)
    for i, row in enumerate(labels):
        is_label[i, row[valid[i]]] = True
    chosen = _getitem(x, index=(place, safe))
    excess = clamp(1 - reshape(chosen, (-1, classes, 1)) + reshape(x, (-1, 1, classes)), min=0)
    counts = wrap((valid[:, :, None] & ~is_label[:, None, :]).astype(raw(x).dtype))
    losses = sum(excess * counts, (1, 2)) / classes
    return reduced(losses if input.ndim > 1 else reshape(losses, ()), reduction)
