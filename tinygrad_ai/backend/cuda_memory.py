"""The most memory that arrays held on a GPU. CuPy's pool does not know it: a hook counts what the
pool gives and takes back. It costs a call for each array, so there is none until it is asked for.
"""

from __future__ import annotations

from typing import Any

from . import cuda


class Peaks:
    """Bytes in use and their peak, for each GPU. A hook is a thread's own: CuPy does not tell it
    of arrays that other threads make or drop."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.now: dict[int, int] = {}
        self.most: dict[int, int] = {}
        for index in range(cupy.cuda.runtime.getDeviceCount()):
            self.reset(index)
        self.hook = counting(cupy, self)
        self.hook.__enter__()

    def reset(self, index: int) -> None:
        """Starts again from what arrays hold now."""
        self.now[index] = self.most[index] = in_pool(self.cupy, index, "used_bytes")

    def given(self, index: int, size: int) -> None:
        self.now[index] += size
        self.most[index] = max(self.most[index], self.now[index])

    def taken(self, index: int, size: int) -> None:
        self.now[index] -= size


def counting(cupy: Any, peaks: Peaks) -> Any:
    """CuPy's hook that keeps the count."""

    class Count(cupy.cuda.MemoryHook):  # type: ignore[misc, name-defined]
        name = "tinygrad_ai_peak"

        def malloc_postprocess(self, **told: Any) -> None:
            if told["mem_ptr"]:  # 0 where there was no memory left
                peaks.given(told["device_id"], told["mem_size"])

        def free_postprocess(self, **told: Any) -> None:
            peaks.taken(told["device_id"], told["mem_size"])

    return Count()


_peaks: list[Peaks] = []
_reserved: dict[int, int] = {}  # the most that the pool held before it gave memory back


def in_pool(cupy: Any, index: int, question: str) -> int:
    """CuPy's pool answers for the GPU that is current."""
    with cupy.cuda.Device(index):
        return int(getattr(cupy.get_default_memory_pool(), question)())


def counted() -> Peaks | None:
    """The peaks, if they are being counted."""
    return _peaks[0] if _peaks else None


def reset(index: int) -> None:
    """Counts from now on, and from what arrays hold now."""
    cupy = cuda.load().xp
    if not _peaks:
        _peaks.append(Peaks(cupy))
    _peaks[0].reset(index)
    _reserved[index] = in_pool(cupy, index, "total_bytes")


def note_reserved(index: int) -> int:
    """The most that the pool held: it grows until it is emptied."""
    held = in_pool(cuda.load().xp, index, "total_bytes")
    _reserved[index] = max(_reserved.get(index, 0), held)
    return _reserved[index]


def stop() -> None:
    """Takes the hook away."""
    while _peaks:
        _peaks.pop().hook.__exit__(None, None, None)
    _reserved.clear()


cuda.on_unload.append(stop)
