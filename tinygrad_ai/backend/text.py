"""Arrays as text, as PyTorch prints tensors: four digits, one width, long ones shortened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def text_of(array: Any) -> str:
    """The numbers of an array."""
    host = np.asarray(array)
    if host.dtype.kind == "V":  # bfloat16: every one is a float32
        host = host.astype(np.float32)
    if host.dtype.kind == "f":
        style: Any = {"float_kind": _floats(_shown(host))}
    else:
        style = {"bool": str} if host.ndim == 0 else None
    text = np.array2string(
        host, separator=", ", threshold=1000, edgeitems=3, prefix="tensor(", formatter=style
    )
    return text.replace(", ..., ", ",  ..., ")


def _shown(array: np.ndarray) -> np.ndarray:
    """The elements that are printed: of a long array, the first and last three along each axis."""
    if array.size > 1000:
        for axis, n in enumerate(array.shape):
            if n > 6:
                array = np.take(array, [0, 1, 2, -3, -2, -1], axis=axis)
    return array.astype(np.float64).reshape(-1)


def _floats(values: np.ndarray) -> Callable[[float], str]:
    """One format for all: whole numbers as 1., others with four digits, or scientific where
    sizes differ by more than a thousand or are very large or small."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    whole = bool(np.all(sizes == np.floor(sizes)))
    wide = sizes.size and (sizes.max() / sizes.min() > 1000 or sizes.max() > 1e8)
    if whole:
        form = "{:.4e}" if wide else "{:.0f}."
    else:
        form = "{:.4e}" if wide or sizes.min() < 1e-4 else "{:.4f}"

    def text(value: float) -> str:
        return form.format(value) if np.isfinite(value) else str(float(value))

    width = max((len(text(v)) for v in values if np.isfinite(v) and v), default=0)
    return lambda value: text(value).rjust(width)
