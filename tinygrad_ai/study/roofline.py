"""The machine's roofline: what it can compute, what it can move, and which of the two limits an op.

    attainable rate = min(peak rate, intensity · bandwidth)   (Williams, Waterman & Patterson, 2009)

The peak is the rate of matrix products at their best, by the engine's own kernels; the bandwidth is
that of arrays which no cache holds: an op whose data still lie in a cache may be above the slope.
Intensity is in operations a byte, a multiply-add counts two.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from .. import backend, cuda
from ..backend import native
from ..backend.precision import get_float32_matmul_precision
from ..errors import ArgumentError
from . import roofline_picture

DTYPES = ("float32", "float64")
SIZES = (256, 512, 1024)  # of the products, n × n
GPU_SIZES = (4096,)
BUDGET = 0.15  # seconds for each of the two figures
FEWEST = 3  # runs
LEAST, MOST = 1 << 26, 1 << 29  # bytes of the arrays that are moved, together

found: dict[tuple[Any, ...], Machine] = {}  # what this process has measured

Clock = Callable[[], float]


@dataclass(frozen=True)
class Machine:
    """What was measured: operations and bytes a second, with so many threads."""

    flops: float
    bandwidth: float
    dtype: str = "float32"
    threads: int = 1
    device: str = "cpu"

    @property
    def ridge(self) -> float:
        """The intensity from which on computing is the limit, and no longer memory."""
        return self.flops / self.bandwidth

    def limit(self, intensity: float) -> float:
        """The operations a second that an op of this intensity can have at most."""
        if not intensity >= 0:
            raise ArgumentError(f"expected operations a byte, 0 or more, got {intensity}")
        return min(self.flops, intensity * self.bandwidth)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "ridge": self.ridge}


class Point(NamedTuple):
    """An op in the picture: operations a byte, operations a second, and the time it took in all."""

    label: str
    intensity: float
    rate: float
    seconds: float = 0.0


def measured(
    threads: int | None = None,
    dtype: Any = "float32",
    device: Any = "cpu",
    clock: Clock | None = None,
) -> Machine:
    """Measures once in a process for each dtype, device and number of threads (those in use).

    Takes about half a second. Whatever else runs on the machine makes it look slower.
    """
    name = str(np.dtype(dtype)) if dtype in (*DTYPES, *map(np.dtype, DTYPES)) else str(dtype)
    if name not in DTYPES:
        raise ArgumentError(f"the roofline is measured in {' or '.join(DTYPES)}, got {name}")
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError(f"expected a number of threads from 1 on, or None, got {threads!r}")
    be, used = backend.on(device), threads or native.get_num_threads()
    key = (name, used, str(be.device), get_float32_matmul_precision())
    if clock is not None:
        return _measure(be, name, used, clock)
    if key not in found:
        found[key] = _measure(be, name, used, time.perf_counter)
    return found[key]


def _measure(be: Any, dtype: str, threads: int, clock: Clock) -> Machine:
    with _threads(threads):
        flops, bandwidth = _products(be, dtype, clock), _traffic(be, clock)
    return Machine(flops, bandwidth, dtype, threads, str(be.device))


@contextmanager
def _threads(count: int) -> Any:
    before = native.get_num_threads()
    native.set_num_threads(count)
    try:
        yield
    finally:
        native.set_num_threads(before)


def _products(be: Any, dtype: str, clock: Clock) -> float:
    """The rate of the size that does best; larger ones are left out where they would take long."""
    best, each = 0.0, 0.0
    for n in GPU_SIZES if be.device.type == "cuda" else SIZES:
        if each * FEWEST * 8 > BUDGET:
            break
        a, b = (be.full((n, n), 0.5, dtype) for _ in range(2))
        each = _seconds(be, partial(be.matmul, a, b), clock, BUDGET / 3)
        best = max(best, 2 * n**3 / each)
    return best


def _traffic(be: Any, clock: Clock) -> float:
    """Bytes a second: read and written by the optimizers' kind of pass, or by an addition."""
    count = min(MOST, max(LEAST, 4 * _last_cache())) // 16  # numbers in each of four float32 arrays
    if be is not backend.numpy:
        x, y, z = (be.full((4 * count,), 0.5, "float32") for _ in range(3))
        return 3 * x.nbytes / _seconds(be, lambda: be.add(x, y, out=z), clock, BUDGET)
    # Memory of its own: NumPy's cache would go on to keep it for the program.
    arrays = [np.frombuffer(mmap.mmap(-1, 4 * count), np.float32) for _ in range(4)]
    for array in arrays:
        array.fill(1e-3)
    if native.module is not None:
        work, moved = partial(native.module.stream, *arrays, 1), 7 * arrays[0].nbytes
    else:
        work, moved = partial(np.add, *arrays[:2], out=arrays[2]), 3 * arrays[0].nbytes
    return moved / _seconds(be, work, clock, BUDGET)


def _seconds(be: Any, work: Callable[[], Any], clock: Clock, budget: float) -> float:
    """The median of some runs, after one that warms up."""
    wait = partial(cuda.synchronize, be.device) if be.device.type == "cuda" else lambda: None
    work()
    wait()
    times: list[float] = []
    while len(times) < FEWEST or sum(times) < budget:
        start = clock()
        work()
        wait()
        times.append(clock() - start)
    return median(times)


def _last_cache() -> int:
    """Bytes of the largest cache that the system tells of; 0 if it does not."""
    files = Path("/sys/devices/system/cpu/cpu0/cache").glob("*/size")
    sizes = [f.read_text().strip() for f in files]
    return max([1024 * int(s[:-1]) for s in sizes if s[-1:] == "K"], default=0)


def picture(machine: Machine, points: Iterable[Any], path: Any) -> Path:
    """Draws the roof, and points below it: Points, or tuples of a label, intensity, rate and, if it
    is known, time. What computes nothing, or moves nothing, has no place there and is left out.

    Writes .png, .svg or .pdf; ArgumentError for another suffix, or without points.
    """
    return roofline_picture.draw(machine, [Point(*p) for p in points], path)
