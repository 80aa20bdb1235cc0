"""CUDA graphs of the stand-in: what is done on a capturing stream is written down, not kept.

A GPU does nothing while a stream captures. The stand-in has to compute, to know shapes; so when a
capture ends, what was there before is as it was, and what was made meanwhile is NaN or nonsense.
A launch does it all again into the same memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

REFUSED = "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
LIBRARY = "calling cuBLAS API during stream capture is currently unsupported"


class Graph:
    """What was written down between begin_capture and end_capture."""

    def __init__(self) -> None:
        self.work: list[tuple[Callable[[], Any], Any]] = []
        self.before: list[tuple[np.ndarray, np.ndarray]] = []
        self.made: list[np.ndarray] = []
        self.kept: list[np.ndarray] = []
        self.launches = 0

    def launch(self, stream: Any = None) -> None:
        self.launches += 1
        for work, result in self.work:
            again = work()
            if result is not None and not np.shares_memory(result, again):
                result[...] = again

    def change(self, work: Callable[[], Any], array: np.ndarray) -> None:
        self.before.append((array, array.copy()))
        self.work.append((work, None))
        work()

    def make(self, work: Callable[[], Any], part: Any, given: Any) -> Any:
        """A result, written down; those that are arguments themselves, or no arrays, are not."""
        part = np.asarray(part) if isinstance(part, np.generic) else part
        if not isinstance(part, np.ndarray) or any(part is g for g in given):
            return part
        self.work.append((work, part))
        if part.base is None:
            self.made.append(part)
        return part

    def finish(self) -> None:
        for array, kept in reversed(self.before):
            array[...] = kept
        for array in self.made:
            array.fill(np.nan if array.dtype.kind == "f" else 85)


capturing: list[Graph] = []


def noted(work: Callable[[], Any], given: Any = (), changes: np.ndarray | None = None) -> Any:
    """Runs `work`, which makes arrays of those given, or changes one. If a stream captures it is
    written down."""
    if not capturing:
        return work()
    graph = capturing[-1]
    if changes is not None:
        return graph.change(work, changes)
    result = work()
    if not isinstance(result, (tuple, list)):
        return graph.make(work, result, given)
    parts = [graph.make(lambda i=i: work()[i], r, given) for i, r in enumerate(result)]
    return tuple(parts) if isinstance(result, tuple) else parts


def waiting(what: str) -> None:
    """Called by what waits for the GPU or copies from and to the host."""
    if capturing:
        from .device import CUDARuntimeError

        raise CUDARuntimeError(f"{REFUSED} (in {what})")


def library(name: str) -> None:
    """Called by what CuPy gives to cuBLAS and its like."""
    if capturing:
        raise NotImplementedError(LIBRARY)
