"""Dropout: some activations set to zero at random, the others scaled up."""

from __future__ import annotations

import math
from typing import Any

from ...errors import ArgumentError
from ...ops.create import zeros_like
from ...ops.dropout import _dropout, chosen
from ...ops.inplace import kept
from ...ops.select import where

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout",
]  # fmt: skip

SELU_SATURATION = -1.7580993408473766  # -scale α of selu


def _checked(p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"expected a dropout probability in [0, 1], got {p}")


def mask_of(shape: tuple[int, ...], p: float, like: Any) -> tuple[Any, float]:
    """Which elements are kept, each with probability 1 - p, and what they are multiplied by."""
    _checked(p)
    return chosen(shape, 1 - p, like), 1 / (1 - p) if p < 1 else 0.0


def _dropped(input: Any, p: float, training: bool, inplace: bool, rank: int) -> Any:
    """Dropout of blocks that reach over the last `rank` dimensions."""
    _checked(p)
    if not training or p == 0:
        return input
    keep, scale = mask_of((*input.shape[: input.ndim - rank], *(1,) * rank), p, input)
    return kept(lambda x: _dropout(x, keep=keep, scale=scale), input, inplace)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """In training, elements are 0 with probability p, else x / (1 - p) (Hinton et al., 2012)."""
    return _dropped(input, p, training, inplace, 0)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    return _dropped(input, p, training, inplace, 1)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, H, W) or (C, H, W)."""
    return _dropped(input, p, training, inplace, 2)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    return _dropped(input, p, training, inplace, 3)


def _alpha(input: Any, p: float, training: bool, inplace: bool, shape: Any) -> Any:
    """Dropped elements get selu's lower limit; mean and variance are kept."""
    _checked(p)
    if not training or p == 0:
        return input
    if p == 1:
        return kept(lambda x: x * zeros_like(x), input, inplace)
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_SATURATION**2))
    mask = chosen(shape, 1 - p, input)
    shift = scale * p * SELU_SATURATION
    return kept(lambda x: where(mask, x, SELU_SATURATION) * scale - shift, input, inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for selu networks (Klambauer et al., 2017)."""
    return _alpha(input, p, training, inplace, input.shape)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """alpha_dropout of whole channels."""
    return _alpha(input, p, training, inplace, (*input.shape[:2], *[1] * (input.ndim - 2)))
