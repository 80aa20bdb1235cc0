"""Where the contenders of the GPU's benchmarks work, and what is there."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from .gpu_clock import Clock, QueueClock, WallClock, sets_of


class Missing(Exception):
    """What a figure needs is not here; the message says what."""


class Place:
    """The first GPU. Tests put the stand-in and PyTorch's CPU here."""

    ours = pytorch = "cuda"

    @cached_property
    def be(self) -> Any:
        """The CUDA backend; Missing without compiled kernels: CuPy's would be timed as ours."""
        from tinygrad_ai import backend
        from tinygrad_ai.backend import fused_cuda

        be = backend.on("cuda")
        if why := fused_cuda.load()[1]:
            raise Missing(f"no compiled kernels: {why}")
        return be

    @property
    def products(self) -> Any:
        """The object behind the linear layer's entries."""
        return self.be.linear.func.__self__

    @property
    def on_hopper(self) -> bool:
        return bool(self.products.on_hopper(0))

    @property
    def has_cublaslt(self) -> bool:
        return self.products.lt.library(0) is not None

    def need_cublaslt(self) -> None:
        if not self.has_cublaslt:
            raise Missing("cuBLASLt is not here: see python -m tinygrad_ai info")

    @cached_property
    def cache(self) -> int:
        """Bytes of the last cache."""
        return int(self.be.xp.cuda.runtime.getDeviceProperties(0)["l2CacheSize"])

    def sets(self, size: int) -> int:
        return sets_of(size, self.cache)

    def wait(self) -> None:
        self.be.xp.cuda.runtime.deviceSynchronize()

    def queue_clock(self) -> Clock:
        return QueueClock(self.be.xp)

    def wall_clock(self) -> Clock:
        return WallClock(self.wait)
