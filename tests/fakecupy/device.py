"""The stand-in's GPUs: which is current, their memory pools, streams, events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from .capture import Graph, capturing, waiting

MEMORY = 1 << 30


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


HOOKS: dict[str, MemoryHook] = {}


class MemoryHook:
    """Told of what the pools give and take back, after `with`."""

    name = "MemoryHook"

    def __enter__(self) -> MemoryHook:
        if self.name in HOOKS:
            raise KeyError(f"memory hook {self.name} already exists")
        HOOKS[self.name] = self
        return self

    def __exit__(self, *_: object) -> None:
        del HOOKS[self.name]

    def malloc_postprocess(self, **told: Any) -> None:
        pass

    def free_postprocess(self, **told: Any) -> None:
        pass


class Pool:
    """Counts the bytes that arrays hold, and those that wait."""

    def __init__(self, index: int = 0) -> None:
        self.index, self.used, self.total, self.limit = index, 0, 0, 0

    def take(self, size: int) -> None:
        fits = not self.limit or self.used + size <= self.limit
        if fits:
            self.used += size
            self.total = max(self.total, self.used)
        for hook in HOOKS.values():
            hook.malloc_postprocess(
                device_id=self.index, size=size, mem_size=size, mem_ptr=int(fits), pmem_id=int(fits)
            )
        if not fits:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")

    def give(self, size: int) -> None:
        self.used -= size
        for hook in HOOKS.values():
            hook.free_postprocess(device_id=self.index, mem_size=size, mem_ptr=1, pmem_id=1)

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.total

    def free_bytes(self) -> int:
        return self.total - self.used

    def free_all_blocks(self) -> None:
        self.total = self.used

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = int(MEMORY * fraction) if fraction is not None else size or 0

    def get_limit(self) -> int:
        return self.limit


class MemoryPool(Pool):
    """A pool of one's own; the stand-in counts everything in the GPU's."""

    def malloc(self, size: int) -> None:
        raise NotImplementedError


@contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    yield


class World:
    """All GPUs there are; one of them is current."""

    def __init__(self, count: int, driver: bool, version: int = 14) -> None:
        self.count, self.driver, self.current, self.version = count, driver, 0, version
        self.pools = [Pool(i) for i in range(count)]
        self.linalg = ["ignore"]

    def getDeviceCount(self) -> int:
        if not self.driver:
            raise CUDARuntimeError(
                "cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA "
                "runtime version"
            )
        return self.count

    def getDevice(self) -> int:
        self.getDeviceCount()
        return self.current

    def setDevice(self, index: int) -> None:
        if not 0 <= index < self.count:
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.current = index


class Event:
    done = True

    def record(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        pass


class Stream:
    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.ptr, self.non_blocking = 0 if null else id(self), non_blocking

    def begin_capture(self, mode: int | None = None) -> None:
        if not self.non_blocking:
            raise CUDARuntimeError("cudaErrorStreamCaptureImplicit: a legacy stream captures")
        capturing.append(Graph())

    def end_capture(self) -> Graph:
        graph = capturing.pop()
        graph.finish()
        return graph

    def is_capturing(self) -> bool:
        return bool(capturing)

    def record(self, event: Any = None) -> Event:
        return Event()

    def synchronize(self) -> None:
        waiting("synchronize")

    def wait_event(self, event: Event) -> None:
        assert isinstance(event, Event)

    def __enter__(self) -> Stream:
        STREAMS.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        STREAMS.pop()

    def use(self) -> Stream:
        STREAMS[-1] = self
        return self


Stream.null = Stream(null=True)
STREAMS = [Stream.null]


def make_cuda(cupy: ModuleType, world: World) -> dict[str, ModuleType]:
    """cupy.cuda, and what of it hangs at cupy itself."""

    class Device:
        def __init__(self, device: int | None = None) -> None:
            self.id = world.getDevice() if device is None else int(device)
            self.before: list[int] = []

        def __enter__(self) -> Device:
            self.before.append(world.getDevice())
            world.setDevice(self.id)
            return self

        def __exit__(self, *_: object) -> None:
            world.setDevice(self.before.pop())

        def use(self) -> Device:
            world.setDevice(self.id)
            return self

        def synchronize(self) -> None:
            world.getDeviceCount()

        compute_capability = "90"
        attributes = {"MaxSharedMemoryPerBlockOptin": 232448}
        mem_info = property(lambda self: (MEMORY - world.pools[self.id].total, MEMORY))

    cuda, runtime = ModuleType("cupy.cuda"), ModuleType("cupy.cuda.runtime")
    values: dict[str, Any] = {
        "Device": Device, "MemoryPool": MemoryPool, "using_allocator": using_allocator,
        "Stream": Stream, "Event": Event, "runtime": runtime,
        "MemoryHook": MemoryHook,
        "get_current_stream": lambda: STREAMS[-1],
        "get_elapsed_time": lambda start, end: 0.0,
        "is_available": lambda: world.driver and world.count > 0,
        "memory": SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    }  # fmt: skip
    cuda.__dict__.update(values)
    runtime.__dict__.update(
        getDeviceCount=world.getDeviceCount, getDevice=world.getDevice, setDevice=world.setDevice,
        CUDARuntimeError=CUDARuntimeError, deviceSynchronize=world.getDeviceCount,
        getDeviceProperties=lambda i: {"name": f"Stand-in {i}".encode(), "totalGlobalMem": MEMORY},
    )  # fmt: skip
    cupy.__dict__.update(cuda=cuda, get_default_memory_pool=lambda: world.pools[world.current])
    return {"cupy.cuda": cuda, "cupy.cuda.runtime": runtime}


def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    PINNED.append(np.empty(shape, dtype, order))
    return PINNED[-1]


PINNED: list[np.ndarray] = []  # what was given out
