"""Where the tests' arrays lie when a kernel runs: in our memory for the simulator, or a GPU's.

Straight to the driver, so that the tests of the kernels need no CuPy.
"""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any

import numpy as np

from tinygrad_ai.backend.nvrtc import Compiler


class Simulated:
    """The module built for the simulator: its GPU reads our memory."""

    real = False

    def __init__(self, module: Any) -> None:
        self.module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self.module, name)

    def run(self, function: str, *arguments: Any) -> None:
        """Calls a kernel; arrays, also in tuples, become addresses, None becomes 0."""
        getattr(self.module, function)(*[self.place(a) for a in arguments])

    def place(self, x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(self.place(part) for part in x)
        return x.ctypes.data if isinstance(x, np.ndarray) else 0 if x is None else x


class Driver:
    """libcuda's memory and the primary context, which the module's runtime takes too."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL("libcuda.so.1")
        context = ctypes.c_void_p()
        self.do("cuInit", 0)
        self.do("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self.do("cuCtxSetCurrent", context)

    def do(self, name: str, *arguments: Any) -> None:
        code = getattr(self.library, name)(*arguments)
        if code:
            raise OSError(f"{name} failed with {code}")

    def allocate(self, size: int) -> int:
        address = ctypes.c_uint64()
        self.do("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size))
        return address.value


class Real(Simulated):
    """The installed module on a GPU: arrays are copied there, and back when the work is done."""

    real = True

    def __init__(self, module: Any, driver: Driver) -> None:
        super().__init__(module)
        self.driver = driver

    def run(self, function: str, *arguments: Any) -> None:
        do, there = self.driver.do, {}
        parts = [p for a in arguments for p in (a if isinstance(a, tuple) else (a,))]
        arrays = {p.ctypes.data: p for p in parts if isinstance(p, np.ndarray) and p.size}
        for here, x in arrays.items():  # as far from an alignment as it was, and none placed twice
            there[here] = base = self.driver.allocate(x.nbytes + 16), here % 16
            to = ctypes.c_uint64(sum(base))
            do("cuMemcpyHtoD_v2", to, ctypes.c_void_p(here), ctypes.c_size_t(x.nbytes))
        self.there = {here: sum(base) for here, base in there.items()}
        try:
            super().run(function, *arguments)
            do("cuCtxSynchronize")
            for here, x in arrays.items():
                place = ctypes.c_uint64(self.there[here])
                do("cuMemcpyDtoH_v2", ctypes.c_void_p(here), place, ctypes.c_size_t(x.nbytes))
        finally:
            for base, _ in there.values():
                do("cuMemFree_v2", ctypes.c_uint64(base))

    def place(self, x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return self.there.get(x.ctypes.data, 0)
        return super().place(x)


def gpu() -> Real | str:
    """The installed module on this machine's GPU, or why there is none."""
    try:
        from tinygrad_ai.backend import _cuda

        if _cuda.archs == "nvrtc":
            _cuda.set_compiler(Compiler(import_module("cupy.cuda").nvrtc))
        return Real(_cuda, Driver()) if _cuda.device_count() else "the driver finds no GPU"
    except (ImportError, OSError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
