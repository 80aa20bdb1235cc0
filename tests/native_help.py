"""What the tests of the compiled kernels share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.required import required
from tinygrad_ai.backend import native
from tinygrad_ai.backend import numpy as be

REQUIRED = required("native")

NATIVE = [
    pytest.mark.native,
    pytest.mark.skipif(
        native.module is None and not REQUIRED, reason=f"no compiled kernels: {native.reason}"
    ),
]

SETS = native.module.available() if native.module else []
FLOATS = [np.float32, np.float64]


def layouts(x: np.ndarray) -> list[np.ndarray]:
    """The same matrix in memory by rows, by columns, with gaps, and off its alignment."""
    gaps = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)[::2, ::3]
    gaps[...] = x
    odd = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    odd[...] = x
    return [x, np.asfortranarray(x), gaps, odd]


def close(mine: Any, plain: Any) -> None:
    tol = 2e-5 if plain.dtype == np.float32 else 1e-12
    assert mine.shape == plain.shape and mine.dtype == plain.dtype
    scale = max(1.0, float(np.abs(plain[np.isfinite(plain)]).max(initial=0)))
    np.testing.assert_allclose(mine, plain, rtol=tol, atol=tol * scale)


def both(entry: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """What the compiled entry gives, and what the plain one does."""
    fast = getattr(be, entry)
    assert fast.func in native.ENTRIES
    with native.switched_off(be):
        plain = getattr(be, entry)(*args, **options)
    return fast(*args, **options), plain


def normal(*shape: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def all_close(mine: Any, plain: Any) -> None:
    """close, for each of several results."""
    for a, b in zip(mine, plain, strict=True):
        close(a, b)
