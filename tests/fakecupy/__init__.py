"""NumPy dressed as CuPy, to test the CUDA backend's array code where there is no GPU.

It refuses what CuPy refuses: names and keywords CuPy does not have (cupy_spec.json is a snapshot of
a real CuPy's), implicit conversion to NumPy, NumPy arrays among the operands, operands of another
GPU than the current one. It is stricter in places where CuPy's versions differ: no `ufunc.at`,
`reduceat` and `accumulate`, no NumPy arrays as indices. It proves nothing about speed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from .array import ndarray as ndarray
from .device import World, make_cuda
from .functions import fill_namespace, make_cupyx


def make(devices: int = 2, driver: bool = True, version: int = 14) -> dict[str, ModuleType]:
    """The modules of a stand-in for CuPy, by name, with so many GPUs, or without a driver. Those
    before version 14 have no bfloat16."""
    world = ndarray.world = World(devices, driver, version)
    cupy = ModuleType("cupy")
    cupy.__version__ = f"{version}.stand-in"  # type: ignore[attr-defined]
    fill_namespace(cupy)
    made = {"cupy": cupy, **make_cuda(cupy, world), **make_cupyx(world)}
    routines = ModuleType("cupy._core._routines_linalg")
    routines.COMPUTE_TYPE_DEFAULT, routines.COMPUTE_TYPE_TF32 = 1, 7  # type: ignore[attr-defined]
    routines.chosen = {}  # type: ignore[attr-defined]
    routines.set_compute_type = routines.chosen.__setitem__  # type: ignore[attr-defined]
    made["cupy._core"] = ModuleType("cupy._core")
    made["cupy._core._routines_linalg"] = routines
    return made


@contextmanager
def installed(devices: int = 2, driver: bool = True, version: int = 14) -> Iterator[Any]:
    """Inside the block `import cupy` finds the stand-in, and our backend uses it."""
    from tinygrad_ai.backend import cuda, random

    before = {n: m for n, m in sys.modules.items() if n.split(".")[0] in ("cupy", "cupyx")}
    streams = random.states()
    made = make(devices, driver, version)
    cuda.unload()
    for name in before:
        del sys.modules[name]
    sys.modules.update(made)
    try:
        yield made["cupy"]
    finally:
        cuda.unload()
        random.others.clear()
        random.default.set_state(streams["cpu"])
        for name in made:
            sys.modules.pop(name, None)
        sys.modules.update(before)
