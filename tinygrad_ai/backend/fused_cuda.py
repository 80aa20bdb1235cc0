"""The compiled CUDA kernels: they stand in for the CuPy backend's entries, as native.py's do for
NumPy's.

A call hands over addresses and the current stream, and returns before the GPU is done. What the
kernels are not made for (strides, other dtypes) the plain entry does.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from . import cuda
from .native import STALE, sources

NOTE = Path(__file__).parent / "cuda.txt"
DTYPES = ("float32", "float64", "float16", "bfloat16")
GROUPS: list[type[Fused]] = []


def load() -> tuple[Any, str]:
    """The compiled module, or None and why."""
    try:
        module = import_module("._cuda", __package__)
    except ImportError as error:
        said = NOTE.read_text().strip() if NOTE.exists() else ""
        return None, said or f"it was not built: {error}"
    return (module, "") if sources("cuda") in ("", module.sources) else (None, STALE)


class Fused:
    """Some entries of the table for one backend and one compiled module. A method is called with
    the plain entry, which does what the kernels are not made for, and the entry's arguments."""

    entries: tuple[str, ...] = ()

    def __init__(self, be: Any, module: Any) -> None:
        self.be, self.module = be, module
        self.dtypes = {name: getattr(module.Dtype, name) for name in DTYPES}

    def dtype(self, *arrays: Any) -> Any:
        """The one dtype of arrays that lie without gaps; None if they do not, or have others."""
        known = [a for a in arrays if a is not None]
        names = {str(a.dtype) for a in known}
        if len(names) > 1 or not all([a.flags.c_contiguous for a in known]):
            return None
        return self.dtypes.get(names.pop())

    def address(self, array: Any) -> int:
        return 0 if array is None else self.be.address_of(array)

    def stream(self) -> int:
        return int(self.be.xp.cuda.get_current_stream().ptr)


def group(entries: type[Fused]) -> type[Fused]:
    """Enters a class of entries: each fused_cuda_*.py has one."""
    GROUPS.append(entries)
    return entries


def install(be: Any) -> None:
    """Puts the compiled entries into a backend's table, if they were built."""
    module, _ = load()
    if module is not None:
        stand_in(be, module)


def stand_in(be: Any, module: Any) -> None:
    """The same with a module at hand; each entry keeps the plain one beside it."""
    for fused in [kind(be, module) for kind in GROUPS]:
        for name in fused.entries:
            setattr(be, name, partial(getattr(fused, name), getattr(be, name)))


cuda.on_load.append(install)
