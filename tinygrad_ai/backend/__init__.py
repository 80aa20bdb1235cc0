"""The one door to the machine: which array library answers for an array, and what it can do.

A `Backend` is a table of entries: array functions taken from NumPy's namespace, and the named
kernels of `kernels.py`, each written once in plain array code. An accelerator replaces entries of
this table and never adds one. Nothing here knows of Tensors.
"""

from __future__ import annotations

import sys
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ..errors import DeviceError, DTypeError
from . import capture as capture
from . import cuda as cuda
from . import dtypes, kernels
from . import fused_cuda as fused_cuda
from . import fused_cuda_attention as fused_cuda_attention
from . import fused_cuda_linear as fused_cuda_linear
from . import fused_cuda_optim as fused_cuda_optim
from . import fused_cuda_pointwise as fused_cuda_pointwise
from . import fused_cuda_random as fused_cuda_random
from . import fused_cuda_rows as fused_cuda_rows
from . import kernels_nn as kernels_nn
from . import kernels_optim as kernels_optim
from . import kernels_random as kernels_random
from . import native as native
from . import special as special
from .device import CPU, device
from .storage import PACKAGE as PACKAGE
from .text import text_of as text_of


class Backend(SimpleNamespace):
    """The table for one array library. `be.tanh`, `be.softmax`, ... are its entries."""

    scipy = "scipy"  # where its special functions are
    compiled: Any = None  # the module whose kernels stand in for plain entries
    in_bfloat16: frozenset[str] = frozenset()  # ops that it computes so, not by way of float32

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

    def device_of(self, array: Any) -> device:
        """Where an array lives."""
        return CPU

    def address_of(self, array: Any) -> int:
        """The address of an array's first element."""
        return int(array.__array_interface__["data"][0])

    def to_host(self, array: Any) -> Any:
        """The array in host memory, shared where it is there already."""
        return array

    def from_host(self, array: Any, non_blocking: bool = False) -> Any:
        """A host array where this backend computes."""
        return array

    def write(self, target: Any, value: Any) -> None:
        """Puts a value into an array, which keeps its memory."""
        target[...] = value


numpy = Backend("numpy", np, CPU)
native.install(numpy)

# Every type that counts as an array, and who answers for it. NumPy's scalars are 0-d results.
TABLE: dict[type, Backend] = {np.ndarray: numpy}
SCALARS: tuple[type, ...] = (bool, int, float, complex)


def of(array: Any) -> Backend:
    """The backend that owns this array: one dictionary look-up."""
    return TABLE[type(array)]


def on(where: Any) -> Any:
    """The backend of a device, which makes its arrays there; DeviceError if it is not there."""
    if where is None:
        return numpy
    wanted = device(where)
    return numpy if wanted.type == "cpu" else cuda.on(wanted)


def near(array: Any) -> Any:
    """The backend of an array, which makes new ones where this one is."""
    return numpy if TABLE.get(type(array), numpy) is numpy else on(device_of(array))


def device_of(array: Any) -> device:
    """Where an array lives; NumPy's scalars and plain numbers are on the CPU."""
    return TABLE.get(type(array), numpy).device_of(array)


def is_array(value: Any) -> bool:
    return type(value) in TABLE or isinstance(value, np.generic)


def common(arrays: Any) -> Backend:
    """The one backend of these arguments. DeviceError if they live on different devices, except
    for single numbers on the CPU, which go everywhere."""
    found = [TABLE[kind] for kind in {type(a) for a in arrays} if kind in TABLE]
    if len(found) > 1:
        far = [a for a in arrays if type(a) in TABLE and type(a) is not np.ndarray]
        if any(type(a) is np.ndarray and a.ndim for a in arrays):
            raise apart(arrays)
        return of(far[0])
    return found[0] if found else numpy


def apart(arrays: Any) -> DeviceError:
    """The error for arrays on different devices: the first, and the first elsewhere."""
    known = [a for a in arrays if type(a) in TABLE]
    first = next(a for a in known if a.ndim or len(known) == 1)
    other = next(a for a in known if device_of(a) != device_of(first))
    named = [f"{tuple(a.shape)} on {device_of(a)}" for a in (first, other)]
    wanted = max(device_of(first), device_of(other), key=lambda d: d.type == "cuda")
    return DeviceError(
        f"expected all tensors on one device, got {' and '.join(named)}", f"x.to('{wanted}')"
    )


def copied(array: Any) -> Any:
    """A copy of the array, on its device."""
    return near(array).array(array)


def beside(like: Any, array: Any) -> Any:
    """An array of ours (an index, a mask) brought to where another one is."""
    if type(array) is type(like) or type(array) not in TABLE:
        return array
    return moved(array, device_of(like))


def moved(array: Any, where: Any, non_blocking: bool = False) -> Any:
    """The array on another device; itself if it is there. Copies from pinned memory to a GPU may
    go on while the program does, if `non_blocking`."""
    wanted = device(where)
    if wanted.type == "cuda":
        wanted = cuda.full_name(wanted)
    here = device_of(array)
    if here == wanted:
        return array
    if wanted.type == "cpu":
        return of(array).to_host(array)
    if here.type == "cpu":
        return on(wanted).from_host(array, non_blocking)
    return cuda.across(array, wanted)


def asarray(data: Any, dtype: Any = None, where: Any = None, copy: bool | None = None) -> Any:
    """Data (numbers, nested lists, arrays) as an array; plain floats become the default dtype."""
    kind, dtype = type(data), dtypes.known(dtype)
    if kind is not np.ndarray and kind in TABLE:
        return _from_device(data, dtype, where, copy)
    try:
        data = torch_bits(data)
        array = np.array(data, dtype=dtype, copy=copy if where is None else None)
    except (ValueError, TypeError) as error:
        raise DTypeError(
            f"expected numbers in a regular nesting, got {type(data).__name__}: {error}",
            "every row of a nested list must have the same length",
        ) from None
    if array.dtype.kind not in "buifc" and array.dtype.name != "bfloat16":
        raise DTypeError(f"expected numbers, got data of type {array.dtype}")
    if dtype is None and array.dtype == dtypes.float64 and not hasattr(data, "dtype"):
        array = array.astype(dtypes.get_default_dtype())
    if where is None:
        return array
    there = moved(array, where)
    return there.copy() if copy and there is data else there


def torch_bits(data: Any) -> Any:
    """A PyTorch tensor of bfloat16, which PyTorch does not give to NumPy, as an array in the same
    memory by way of its bits; anything else as it is."""
    if not type(data).__module__.startswith("torch") or str(data.dtype) != "torch.bfloat16":
        return data
    bits = data.detach().cpu().view(sys.modules["torch"].int16).numpy()
    return bits.view(dtypes.named("bfloat16"))


def _from_device(data: Any, dtype: Any, where: Any, copy: bool | None) -> Any:
    """A GPU's array as one of a dtype, on a device."""
    there = moved(data, device_of(data) if where is None else where)
    if dtype is not None and there.dtype != dtype:
        return on(device_of(there)).converted(there, dtype)
    return on(device_of(there)).array(there) if copy and there is data else there


def floats(data: Any) -> Any:
    """Data as an array of the default dtype, as the constructor `Tensor(data)` makes it."""
    return asarray(data, dtypes.get_default_dtype())


def to_numpy(array: Any) -> np.ndarray:
    """The array in host memory, shared where it is there already."""
    return np.asarray(TABLE.get(type(array), numpy).to_host(array))
