"""How exactly products of float32 matrices are computed on a GPU: fully, or in TF32 on its tensor
cores, which keeps 10 bits of each factor and is several times faster. Off unless asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import ArgumentError, DeviceError
from . import cuda
from .dtypes import float32

LEVELS = ("highest", "high", "medium")
_level = "highest"


def get_float32_matmul_precision() -> str:
    """What was set: "highest", "high" or "medium"."""
    return _level


def set_float32_matmul_precision(precision: str) -> None:
    """At "highest", as it is at the start, full float32; at "high" and "medium" TF32 on GPUs that
    have it. On the CPU the value is only stored. ArgumentError for anything else."""
    global _level
    if precision not in LEVELS:
        raise ArgumentError(f"expected one of {', '.join(LEVELS)}, got {precision!r}")
    _level = precision
    for be in cuda.loaded:
        apply(be)


def apply(be: Any) -> None:
    """Tells CuPy, which keeps one setting for each dtype."""
    try:
        routines: Any = import_module("cupy._core._routines_linalg")
        fast, exact = routines.COMPUTE_TYPE_TF32, routines.COMPUTE_TYPE_DEFAULT
    except (ImportError, AttributeError):
        if _level != "highest":
            raise DeviceError(
                f"CuPy {be.xp.__version__} cannot be told to use TF32", "CUPY_TF32=1 at its start"
            ) from None
        return
    routines.set_compute_type(float32, exact if _level == "highest" else fast)


cuda.on_load.append(apply)
