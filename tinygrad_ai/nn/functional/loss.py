"""Losses: how far predictions are from targets, with PyTorch's names, arguments and reductions."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ... import backend
from ...errors import ArgumentError, DTypeError, RangeError, ShapeError
from ...ops.activation import _softplus
from ...ops.arguments import raw
from ...ops.arithmetic import exp, log
from ...ops.create import ones_like, zeros_like
from ...ops.elementwise import abs, clamp, maximum
from ...ops.indexing import _getitem
from ...ops.loss import _cross_entropy
from ...ops.reduce import mean, sum
from ...ops.select import where
from ...ops.shape import movedim, reshape
from ...ops.softmax import log_softmax
from ...ops.special import xlogy
from ...tensor import wrap
from .distance import cosine_similarity, pairwise_distance

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "cross_entropy", "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div",
    "l1_loss", "margin_ranking_loss", "mse_loss", "multi_margin_loss", "multilabel_margin_loss",
    "multilabel_soft_margin_loss", "nll_loss", "poisson_nll_loss", "smooth_l1_loss",
    "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


def reduced(loss: Any, reduction: str) -> Any:
    """The mean, the sum, or all of the losses."""
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum(loss)
    if reduction == "none":
        return loss
    raise ArgumentError(f"expected reduction 'none', 'mean' or 'sum', got {reduction!r}")


def rows(input: Any, target: Any) -> tuple[Any, Any]:
    """Scores as (N, C) and class indices as an array (N): classes are in dimension 1, or 0."""
    scores = input.ndim and movedim(input, 1 if input.ndim > 1 else 0, -1)
    if not input.ndim or tuple(scores.shape[:-1]) != tuple(target.shape):
        raise ShapeError(
            f"expected one label for each row of scores, got scores {tuple(input.shape)} "
            f"and labels {tuple(target.shape)}",
            "scores (N, C) go with labels (N)",
        )
    labels = raw(target).reshape(-1)
    if labels.dtype.kind not in "iu":
        raise DTypeError(f"expected integer class labels, got {labels.dtype}", "target.long()")
    return reshape(scores, (-1, scores.shape[-1])), labels


def check_labels(labels: Any, classes: int, ignore_index: int) -> Any:
    """Which labels count; RangeError for one outside [0, classes)."""
    counts = labels != ignore_index
    wrong = counts & ((labels < 0) | (labels >= classes))
    if wrong.any():
        at = int(wrong.argmax())
        raise RangeError(
            f"expected labels from 0 to {classes - 1}, got {int(labels[at])} at position {at}",
            "the last layer needs as many outputs as there are classes",
        )
    return counts


def cross_entropy(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100,
    reduction: str = "mean", label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """-log softmax(input) at the target: input (N, C, ...), target (N, ...) class indices, or
    probabilities in input's shape. `weight` (C) scales the classes; the mean divides by the
    weights used. RangeError for a label outside [0, C).
    """
    if input.dtype.kind != "f":
        raise DTypeError(f"expected floating-point scores, got {input.dtype}", "input.float()")
    if target.dtype.kind == "f":
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    if label_smoothing:
        return _smoothed(input, target, weight, ignore_index, reduction, label_smoothing)
    x, labels = rows(input, target)
    counts = check_labels(labels, x.shape[1], ignore_index)
    factor = None if weight is None else raw(weight)[where(counts, labels, 0)]
    if not counts.all():
        factor = (1 if factor is None else factor) * counts.astype(raw(x).dtype)
        labels = where(counts, labels, 0)
    losses = _cross_entropy(x, target=labels, weight=factor)[0]
    return _weighted(losses, factor, tuple(target.shape), reduction)


def _weighted(losses: Any, factor: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The reduction of losses that are scaled already; the mean is over the scales."""
    if reduction == "mean" and factor is not None:
        return sum(losses) / float(factor.sum()) if factor.sum() else sum(losses) * math.nan
    return reduced(reshape(losses, shape), reduction)


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
        return sum(losses) / (math.prod(input.shape) / classes)
    return reduced(losses, reduction)


def _smoothed(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    """Label smoothing: (1 - ε) of the loss, and ε of the mean loss over all classes."""
    x, labels = rows(input, target)
    counts = check_labels(labels, x.shape[1], ignore_index)
    mask = wrap(counts.astype(raw(x).dtype))
    logs = log_softmax(x, 1)
    safe = where(counts, labels, 0)
    scale = wrap(raw(weight)[safe]) * mask if weight is not None else mask
    chosen = -_getitem(logs, index=(backend.numpy.arange(len(safe)), safe)) * scale
    spread = -sum(logs if weight is None else logs * weight, 1) * mask
    if reduction == "mean":
        total = sum(scale)
        chosen, spread = sum(chosen) / total, sum(spread) / total
        return (1 - smoothing) * chosen + smoothing / x.shape[1] * spread
    losses = (1 - smoothing) * chosen + smoothing / x.shape[1] * spread
    return reduced(reshape(losses, target.shape), reduction)


def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """-input at the target: input (N, C, ...) are log-probabilities, target (N, ...) classes."""
    x, labels = rows(input, target)
    counts = check_labels(labels, x.shape[1], ignore_index)
    safe = where(counts, labels, 0)
    factor = counts.astype(raw(x).dtype)
    if weight is not None:
        factor = factor * raw(weight)[safe]
    chosen = -_getitem(x, index=(backend.numpy.arange(len(safe)), safe)) * wrap(factor)
    return _weighted(chosen, factor, tuple(target.shape), reduction)


def _same_size(input: Any, target: Any, name: str) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"{name}: target {tuple(target.shape)} and input {tuple(input.shape)} differ in shape "
            "and are broadcast; this is rarely what is meant",
            stacklevel=3,
        )


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """(input - target)²"""
    _same_size(input, target, "mse_loss")
    d = input - target
    return reduced(d * d, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """|input - target|"""
    _same_size(input, target, "l1_loss")
    return reduced(abs(input - target), reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """d²/2 where |d| <= delta, else delta (|d| - delta/2)."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss expects delta > 0, got {delta}")
    _same_size(input, target, "huber_loss")
    d = input - target
    size = abs(d)
    return reduced(where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta)), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d²/2beta where |d| < beta, else |d| - beta/2."""
    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss expects beta >= 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    _same_size(input, target, "smooth_l1_loss")
    d = input - target
    size = abs(d)
    return reduced(where(size < beta, 0.5 * d * d / beta, size - 0.5 * beta), reduction)


def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """-(t log p + (1 - t) log(1 - p)) for probabilities; logarithms are at least -100."""
    if input.shape != target.shape:
        raise ShapeError(
            f"expected target of shape {tuple(input.shape)}, got {tuple(target.shape)}"
        )
    if ((raw(input) < 0) | (raw(input) > 1)).any():
        raise ArgumentError(
            "binary_cross_entropy expects probabilities in [0, 1]", "the version with_logits"
        )
    losses = -(target * _log_100(input) + (1 - target) * _log_100(1 - input))
    return reduced(losses if weight is None else losses * weight, reduction)


def _log_100(p: Any) -> Any:
    """log p, at least -100; the slope is that of log with p at least 1e-12, as PyTorch's."""
    exact = where(p > math.exp(-100), p, ones_like(p))
    return where(p > math.exp(-100), log(exact), -100 + (p - p) / 1e-12)


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """binary_cross_entropy of sigmoid(input), without overflow."""
    if input.shape != target.shape:
        raise ShapeError(
            f"expected target of shape {tuple(input.shape)}, got {tuple(target.shape)}"
        )
    factor = 1 if pos_weight is None else 1 + (pos_weight - 1) * target
    losses = (1 - target) * input + factor * _softplus(-input, beta=1.0, threshold=math.inf)
    return reduced(losses if weight is None else losses * weight, reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """t (log t - input): input are log-probabilities; "batchmean" divides the sum by N."""
    losses = (
        exp(target) * (target - input) if log_target else xlogy(target, target) - target * input
    )
    if reduction == "batchmean":
        return sum(losses) / input.shape[0]
    return reduced(losses, reduction)


def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, reduction: str = "mean"
) -> Any:
    """x where y = 1, max(0, margin - x) where y = -1."""
    near = where(target == 1, input, zeros_like(input))
    away = where(target == -1, clamp(margin - input, min=0), zeros_like(input))
    return reduced(near + away, reduction)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """max(0, -y (x1 - x2) + margin)"""
    return reduced(clamp(-target * (input1 - input2) + margin, min=0), reduction)


def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + e^(-y x))"""
    return reduced(_softplus(-target * input, beta=1.0, threshold=math.inf), reduction)


def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean over classes of binary cross entropy with logits."""
    plus, minus = [_softplus(s * input, beta=1.0, threshold=math.inf) for s in (-1, 1)]
    losses = target * plus + (1 - target) * minus
    return reduced(mean(losses if weight is None else losses * weight, -1), reduction)


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
    check_labels(labels, x.shape[1], ignore_index=-1)
    place = backend.numpy.arange(len(labels))
    right = _getitem(x, index=(place, labels))
    excess = clamp(margin - reshape(right, (-1, 1)) + x, min=0)
    excess = excess if p == 1 else excess * excess
    if weight is not None:
        excess = excess * reshape(_getitem(weight, index=labels), (-1, 1))
    wrong = wrap((backend.numpy.arange(x.shape[1]) != labels[:, None]).astype(raw(x).dtype))
    return reduced(reshape(sum(excess * wrong, 1) / x.shape[1], target.shape), reduction)


def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """Σ max(0, 1 - x[y] + x[i]) / C over labels y (up to the first -1) and other classes i."""
    x, labels = reshape(input, (-1, input.shape[-1])), raw(target).reshape(-1, target.shape[-1])
    valid = backend.numpy.cumprod(labels >= 0, axis=1).astype(bool)
    place, classes = backend.numpy.arange(len(labels))[:, None], x.shape[1]
    safe = where(valid, labels, 0)
    is_label = backend.numpy.zeros(labels.shape, bool)
    for i, row in enumerate(labels):
        is_label[i, row[valid[i]]] = True
    chosen = _getitem(x, index=(place, safe))
    excess = clamp(1 - reshape(chosen, (-1, classes, 1)) + reshape(x, (-1, 1, classes)), min=0)
    counts = wrap((valid[:, :, None] & ~is_label[:, None, :]).astype(raw(x).dtype))
    losses = sum(excess * counts, (1, 2)) / classes
    return reduced(losses if input.ndim > 1 else reshape(losses, ()), reduction)


def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *, distance_function: Any = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin)"""
    distance = distance_function or pairwise_distance
    away = distance(anchor, negative)
    if swap:
        other = distance(positive, negative)
        away = where(away <= other, away, other) if distance_function is None else _min(away, other)
    return reduced(clamp(distance(anchor, positive) - away + margin, min=0), reduction)


def _min(a: Any, b: Any) -> Any:
    return -maximum(-a, -b)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, reduction: str = "mean",
) -> Any:  # fmt: skip
    """max(0, |a - p| - |a - n| + margin) with the p-norm distance."""

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=distance,
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """1 - cos where y = 1, max(0, cos - margin) where y = -1."""
    cosine = cosine_similarity(input1, input2, dim=-1)
    zero = zeros_like(cosine)
    near = where(target == 1, 1 - cosine, zero)
    return reduced(near + where(target == -1, clamp(cosine - margin, min=0), zero), reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log var + (input - target)² / var) / 2, var at least eps (no gradient through that)."""
    if isinstance(var, (int, float)):
        var = ones_like(input) * var
    if (raw(var) < 0).any():
        raise ArgumentError("gaussian_nll_loss expects var >= 0")
    if var.ndim == input.ndim - 1:
        var = reshape(var, (*var.shape, 1))
    safe = var + wrap(raw(clamp(var, min=eps)) - raw(var))
    d = input - target
    losses = 0.5 * (log(safe) + d * d / safe)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:  # fmt: skip
    """eˣ - t x, or x - t log(x + eps) for log_input=False; `full` adds Stirling's log t!."""
    losses = exp(input) - target * input if log_input else input - target * log(input + eps)
    if full:
        stirling = target * log(target) - target + 0.5 * log(2 * math.pi * target)
        losses = losses + where(target > 1, stirling, zeros_like(target))
    return reduced(losses, reduction)
