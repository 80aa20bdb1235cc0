"""The CuPy backend: arrays in the memory of GPUs. Loaded when "cuda" is first asked for, and never
before: importing CuPy takes half a second, and may fail.

All GPUs share one array type, so there is one backend for all of them: a GPU's number comes from
`array.device`. CuPy makes new arrays on its current device, which `Placed` changes for a call.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from importlib import import_module
from threading import RLock
from typing import Any

from ..errors import DeviceError
from . import capture, kernels_cuda
from .device import device as Device

SWITCH = "TINYGRAD_AI_CUDA"
INSTALL = "pip install 'tinygrad-ai[cuda12]', or for CUDA 13 'tinygrad-ai[cuda13]', never both"
LOADING = RLock()

loaded: list[Any] = []  # the backend, once there is one
added: list[type] = []  # the array types it entered into the table
on_load: list[Any] = []  # called with the backend when it is made
on_several: list[Any] = []  # called when a GPU besides the first comes into use
on_unload: list[Any] = []  # called when the backend is forgotten
several: list[bool] = []  # whether that has happened


def module() -> tuple[Any, str, str]:
    """CuPy, or None; why not; and what to do about it. Never raises."""
    if os.environ.get(SWITCH) == "0":
        return None, f"switched off by {SWITCH}=0", f"unset {SWITCH}"
    try:
        cupy = import_module("cupy")
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            return None, "CuPy is not installed", INSTALL
        cause = error.__cause__ or error  # a library it needs is missing or does not fit
        return None, f"CuPy cannot be imported: {cause}", INSTALL
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:  # CuPy's own error class is as lazy as CuPy
        why = f"CuPy {cupy.__version__} finds no CUDA driver: {error}"
        return None, why, "install NVIDIA's driver, or use device='cpu'"
    if not count:
        return None, f"CuPy {cupy.__version__} finds no GPU", "use device='cpu'"
    return cupy, "", ""


def reason() -> str:
    """Why CUDA cannot be used; empty if it can."""
    return "" if loaded else module()[1]


def load(wanted: Any = "cuda") -> Any:
    """The backend; DeviceError says why there is none, and what to install."""
    with LOADING:
        if not loaded:
            cupy, why, fix = module()
            if cupy is None:
                raise DeviceError(f"expected an available device, got {wanted}: {why}", fix)
            loaded.append(_made(cupy))
            for work in on_load:
                work(loaded[0])
    return loaded[0]


def unload() -> None:
    """Forgets the backend, as if CUDA had never been asked for: for tests with a stand-in."""
    from . import TABLE

    for kind in added:
        TABLE.pop(kind, None)
    for work in on_unload:
        work()
    loaded.clear()
    added.clear()
    several.clear()


def _made(cupy: Any) -> Any:
    from . import TABLE, Backend

    class CudaBackend(Backend):
        """CuPy's functions, the named kernels in plain array code, and what CuPy lacks."""

        scipy = "cupyx.scipy"
        in_bfloat16 = kernels_cuda.IN_BFLOAT16

        def __getattr__(self, entry: str) -> Any:
            if entry.startswith("_"):
                raise AttributeError(entry)
            raise DeviceError(f"CuPy has no {entry}", "compute it with x.cpu()")

        device_of = staticmethod(lambda array: Device("cuda", array.device.id))
        address_of = staticmethod(lambda array: int(array.data.ptr))
        to_host = staticmethod(lambda array: array.get())

        def as_array(self, value: Any) -> Any:
            return value if type(value) is self.ndarray else self.xp.asarray(value)

        def from_host(self, array: Any, non_blocking: bool = False) -> Any:
            """A host array's copy on the current GPU."""
            capture.refuse_host()
            if not non_blocking:
                return self.xp.array(array)
            return _sent(self.xp, array)

        def write(self, target: Any, value: Any) -> None:
            capture.reads(value)
            with self.xp.cuda.Device(target.device.id):
                target[...] = value

    be = CudaBackend("cuda", cupy, Device("cuda"))
    for entry, kernel in kernels_cuda.TABLE.items():
        setattr(be, entry, partial(kernel, be))
    kernels_cuda.complete(be)
    TABLE[cupy.ndarray] = be
    added.append(cupy.ndarray)
    return be


def _index(cupy: Any, wanted: Device) -> int:
    """The GPU's number; DeviceError if there is none of that number."""
    index, count = wanted.index, cupy.cuda.runtime.getDeviceCount()
    if index is None:
        index = int(cupy.cuda.runtime.getDevice())
    if index >= count:
        there = "cuda:0" if count == 1 else f"cuda:0 to cuda:{count - 1}"
        raise DeviceError(f"expected a GPU that is there, got {wanted}", f"use {there}")
    if index and not several:
        several.append(True)
        for work in on_several:
            work()
    return index


def on(wanted: Device) -> Any:
    """The backend, set to make its arrays on a GPU; the current one if none is named."""
    be = load(wanted)
    index = _index(be.xp, wanted)
    return be if index == be.xp.cuda.runtime.getDevice() else Placed(be, index)


def full_name(wanted: Device) -> Device:
    """The device with its number: "cuda" means the current one."""
    return Device("cuda", _index(load(wanted).xp, wanted))


class Placed:
    """The backend, its entries called with one GPU as the current device."""

    def __init__(self, be: Any, index: int) -> None:
        self.be, self.index = be, index

    def __getattr__(self, entry: str) -> Any:
        value = getattr(self.be, entry)
        if not callable(value):
            return value

        def there(*args: Any, **kwargs: Any) -> Any:
            with self.be.xp.cuda.Device(self.index):
                return value(*args, **kwargs)

        return there


def across(array: Any, wanted: Device) -> Any:
    """A GPU's array copied to another, once what computes it there is done."""
    cupy = load().xp
    with cupy.cuda.Device(array.device.id):
        event = cupy.cuda.get_current_stream().record()
    with cupy.cuda.Device(wanted.index):
        cupy.cuda.get_current_stream().wait_event(event)
        return array.copy()


# Host arrays whose asynchronous copies may still be under way: they must outlive the copy.
_flying: deque[tuple[Any, Any]] = deque()


def _sent(cupy: Any, array: Any) -> Any:
    """A copy that the current stream makes while the program goes on, if `array` is pinned."""
    stream = cupy.cuda.get_current_stream()
    while _flying and _flying[0][0].done:
        _flying.popleft()
    host = array if array.flags.c_contiguous else array.copy()
    result = cupy.empty(host.shape, host.dtype)
    result.set(host, stream=stream)
    _flying.append((stream.record(), host))
    return result


def pinned(array: Any) -> Any:
    """The host array's copy in page-locked memory, from where a GPU fetches it by itself."""
    load()
    copy = import_module("cupyx").empty_pinned(array.shape, array.dtype)
    copy[...] = array
    return copy
