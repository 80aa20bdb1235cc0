"""Losses: how far predictions are from targets, with PyTorch's names, arguments and reductions."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...autograd.placement import placed
from ...backend.capture import may_wait
from ...errors import ArgumentError, ShapeError
from ...ops.activation import _softplus
from ...ops.arguments import raw
from ...ops.arithmetic import exp, log
from ...ops.create import ones_like, zeros_like
from ...ops.elementwise import abs, clamp, maximum
from ...ops.reduce import mean, sum
from ...ops.select import where
from ...ops.shape import reshape
from ...ops.special import xlogy
from ...tensor import wrap
from .distance import cosine_similarity, pairwise_distance

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div",
    "l1_loss", "margin_ranking_loss", "mse_loss", 
    "multilabel_soft_margin_loss", "poisson_nll_loss", "smooth_l1_loss",
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


def _same_size(input: Any, target: Any, name: str) -> None:
    if input.shape != target.shape:
        warnings.warn(
            f"{name}: target {tuple(target.shape)} and input {tuple(input.shape)} differ in shape "
            "and are broadcast; this is rarely what is meant",
            stacklevel=3,
        )


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Losses reduced; with weights, the mean is over their sum."""
    if weight is None:
        return reduced(losses, reduction)
    if weight.shape != losses.shape:
        raise ShapeError(
            f"expected a weight for every element, shape {tuple(losses.shape)}, "
            f"got {tuple(weight.shape)}"
        )
    total = reduced(losses * weight, "sum" if reduction == "mean" else reduction)
    return total / sum(weight) if reduction == "mean" else total


def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target)²; `weight` has a factor for every element."""
    _same_size(input, target, "mse_loss")
    d = input - target
    return _weighted(d * d, weight, reduction)


def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|input - target|; `weight` has a factor for every element."""
    _same_size(input, target, "l1_loss")
    return _weighted(abs(input - target), weight, reduction)


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d²/2 where |d| <= delta, else delta (|d| - delta/2); `weight` has a factor for each."""
    if delta <= 0:
        raise ArgumentError(f"huber_loss expects delta > 0, got {delta}")
    _same_size(input, target, "huber_loss")
    d = input - target
    size = abs(d)
    losses = where(size <= delta, 0.5 * d * d, delta * (size - 0.5 * delta))
    return _weighted(losses, weight, reduction)


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


@placed
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """-(t log p + (1 - t) log(1 - p)) for probabilities; logarithms are at least -100."""
    if input.shape != target.shape:
        raise ShapeError(
            f"expected target of shape {tuple(input.shape)}, got {tuple(target.shape)}"
        )
    if may_wait() and ((raw(input) < 0) | (raw(input) > 1)).any():
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
    near = where(target == -1, zeros_like(input), input)
    away = where(target == 1, zeros_like(input), clamp(margin - input, min=0))
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


@placed
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
    if may_wait() and (raw(var) < 0).any():
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
