"""What the tests of the compiled CUDA entries share: the simulator's module behind the table of the
stand-in for CuPy, and comparisons with the plain kernels in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np

from tests import fakecupy
from tests.cuda_programs import module
from tests.fakecupy.capture import capturing
from tinygrad_ai import backend
from tinygrad_ai.backend import fused_cuda, kernels

REAL = ["float32", "float64"]
DTYPES = [*REAL, "float16", "bfloat16"]
TOLERANCE = {"float32": 2e-5, "float64": 1e-11, "float16": 1e-3, "bfloat16": 8e-3}


def dtype_of(name: str) -> Any:
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def normal(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype_of(dtype))


def special_rows(dtype: str, width: int = 37) -> np.ndarray:
    """Rows with NaN and infinities."""
    x = normal(7, width, dtype=dtype)
    x[1, 3], x[2, 0], x[3, 5] = np.nan, np.inf, -np.inf
    x[4], x[5], x[6] = -np.inf, 3e4, np.nan
    return x


def wide(value: Any) -> Any:
    """Floating-point arrays in double precision."""
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biu":
        return value.astype(np.float64)
    return [wide(v) for v in value] if isinstance(value, list) else value


class Entries:
    """The CuPy backend's entries with our kernels (`on`), without (`off`), and what they mean."""

    def __init__(self, be: Any, compiled: Any) -> None:
        self.be, self.compiled = be, compiled
        self.called: list[str] = []  # the kernels, in the order of their calls
        self.off = {n: getattr(be, n) for kind in fused_cuda.GROUPS for n in kind.entries}
        fused_cuda.stand_in(be, self)
        self.called.clear()

    def __getattr__(self, name: str) -> Any:
        self.called.append(name)
        return getattr(self.compiled, name)

    def far(self, value: Any) -> Any:
        """Arrays, also in lists, on the stand-in's GPU. Strides are kept."""
        if isinstance(value, list):
            return [self.far(v) for v in value]
        if not isinstance(value, np.ndarray):
            return value
        base = value if value.base is None else np.asarray(value.base)
        return fakecupy.ndarray.hold(value, self.be.xp.array(base))

    def check(self, name: str, *args: Any, **named: Any) -> Any:
        """Compares an entry with its meaning, and its results' types with the plain entry's."""
        self.called.clear()
        mine = getattr(self.be, name)(*self.far(list(args)), **named)
        assert self.called, f"{name} called no kernel"
        with np.errstate(all="ignore"):
            want = kernels.TABLE[name](backend.numpy, *wide(list(args)), **named)
        same_types = [mine]
        if all(str(getattr(a, "dtype", "")) != "bfloat16" for a in args):
            same_types.append(self.off[name](*self.far(list(args)), **named))
        for found in zip(*[y if isinstance(y, tuple) else (y,) for y in (*same_types, want)]):
            close(found[0].get(), np.asarray(found[-1]))
            assert len({(y.dtype, y.shape) for y in found[:-1]}) == 1
        return mine


def close(mine: np.ndarray, want: np.ndarray) -> None:
    """Mine against what it means in double precision; NaN and infinities at the same places."""
    tol = TOLERANCE[str(mine.dtype)]
    finite = want[np.isfinite(want)]
    scale = max(1.0, float(np.abs(finite).max(initial=0)))
    assert mine.shape == want.shape
    np.testing.assert_allclose(mine.astype(np.float64), want, rtol=tol, atol=tol * scale)


@contextmanager
def compiled_entries() -> Iterator[Entries]:
    """Inside the block the stand-in for CuPy computes with the simulator's kernels."""
    compiled = module()
    with fakecupy.installed():
        yield Entries(backend.on("cuda"), compiled)


class Recorded:
    """The simulator's module, whose kernels the stand-in's graphs write down."""

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.compiled, name)
        if not callable(found) or isinstance(found, type):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if not capturing or name.endswith("_space"):
                return found(*args, **kwargs)
            capturing[-1].work.append((lambda: found(*args, **kwargs), None))
            return None

        return call
