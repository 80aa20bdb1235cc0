"""The one door to the machine: which array library answers for an array, and what it can do.

A `Backend` is a table of entries: array functions taken from NumPy's namespace, and the named
kernels of `kernels.py`, each written once in plain array code. An accelerator replaces entries of
this table and never adds one. Nothing here knows of Tensors.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..errors import DeviceError, DTypeError
from . import dtypes, kernels
from . import kernels_nn as kernels_nn
from . import kernels_optim as kernels_optim
from . import native as native
from . import special as special
from .device import CPU, device, require
from .storage import PACKAGE as PACKAGE
from .text import text_of as text_of


class Backend(SimpleNamespace):
    """The table for one array library. `be.tanh`, `be.softmax`, ... are its entries."""

    def __init__(self, name: str, namespace: ModuleType, where: device) -> None:
        super().__init__(name=name, xp=namespace, device=where)
        for entry, value in vars(namespace).items():  # dir() would load NumPy's rarer submodules
            if not entry.startswith("_"):
                setattr(self, entry, value)
        for entry, kernel in kernels.TABLE.items():
            setattr(self, entry, partial(kernel, self))

    def as_array(self, value: Any) -> Any:
        """A result as an array, also where the library gave a scalar."""
        return self.xp.asarray(value)

    def __getattr__(self, entry: str) -> Any:
        raise AttributeError(f"backend {self.name} has no entry {entry!r}")


numpy = Backend("numpy", np, CPU)
native.install(numpy)

# Every type that counts as an array, and who answers for it. NumPy's scalars are 0-d results.
TABLE: dict[type, Backend] = {np.ndarray: numpy}
SCALARS: tuple[type, ...] = (bool, int, float, complex)


def of(array: Any) -> Backend:
    """The backend that owns this array: one dictionary look-up."""
    return TABLE[type(array)]


def on(where: Any) -> Backend:
    """The backend of a device; DeviceError if it is not there."""
    require(where)
    return numpy


def is_array(value: Any) -> bool:
    return type(value) in TABLE or isinstance(value, np.generic)


def common(arrays: Any) -> Backend:
    """The one backend of these arguments; DeviceError if they live on different devices."""
    found = [TABLE[kind] for kind in {type(a) for a in arrays} if kind in TABLE]
    if len(found) > 1:
        names = " and ".join([str(be.device) for be in found])
        raise DeviceError(f"expected all tensors on one device, got {names}", "x.to(device)")
    return found[0] if found else numpy


def asarray(data: Any, dtype: Any = None, where: Any = None, copy: bool | None = None) -> Any:
    """Data (numbers, nested lists, arrays) as an array; plain floats become the default dtype."""
    be = on(where)
    try:
        array = be.xp.array(data, dtype=dtype, copy=copy)
    except (ValueError, TypeError) as error:
        raise DTypeError(
            f"expected numbers in a regular nesting, got {type(data).__name__}: {error}",
            "every row of a nested list must have the same length",
        ) from None
    if array.dtype.kind not in "buifc":
        raise DTypeError(f"expected numbers, got data of type {array.dtype}")
    if dtype is None and array.dtype == dtypes.float64 and not hasattr(data, "dtype"):
        array = array.astype(dtypes.get_default_dtype())
    return array


def floats(data: Any) -> Any:
    """Data as an array of the default dtype, as the constructor `Tensor(data)` makes it."""
    return asarray(data, dtypes.get_default_dtype())


def to_numpy(array: Any) -> np.ndarray:
    """The array in host memory, shared where it is there already."""
    return np.asarray(array)
