"""How work on a GPU is timed: right first, then in turn, and each contender by the same clock.

- Before anything is timed, everyone's results are compared with a float64 computation.
- Contenders work in turn (A B, A B, ...). A turn is some runs, on inputs that lie in different
  memory, several times the last cache together. A ratio is the median of the rounds' ratios.
- `QueueClock` measures the GPU alone: marks in its queue, and enough work before the first that the
  program has queued all runs before they begin. `WallClock` measures what a user waits for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import numpy as np

from .protocol import Disagreement, disagreement

ROUNDS = 9
TURN = 0.01  # seconds of a turn, about
FEWEST, MOST = 3, 60  # runs in a turn
CACHES = 3  # how many times the last cache the inputs of a contender fill at least

Run = Callable[[int], Any]  # the i-th run: it takes the i-th set of inputs
Times = dict[str, list[float]]  # seconds of a run, round by round


@dataclass
class Contender:
    """Who takes part; `proof` gives what is compared, None if there is nothing to compare."""

    name: str
    run: Run
    proof: Callable[[], Mapping[str, np.ndarray]] | None = None


class Clock(Protocol):
    def prepare(self, run: Run) -> Any: ...
    def seconds(self, run: Run, prepared: Any) -> float: ...


@dataclass
class Turn:
    """How many runs, and how long the program takes to queue them."""

    runs: int
    host: float


def turn_of(run: Run, wait: Callable[[], None], longest: int = MOST) -> Turn:
    """Warms up, and finds how many runs a turn has."""
    for i in range(FEWEST):
        run(i)
    wait()
    start = time.perf_counter()
    for i in range(FEWEST):
        run(i)
    queued = time.perf_counter() - start
    wait()
    each = (time.perf_counter() - start) / FEWEST
    runs = min(longest, max(FEWEST, round(TURN / each)))
    return Turn(runs, queued / FEWEST * runs)


class WallClock:
    """From the first call to when the GPU is done with the last."""

    def __init__(self, wait: Callable[[], None], longest: int = 500) -> None:
        self.wait, self.longest = wait, longest

    def prepare(self, run: Run) -> Turn:
        return turn_of(run, self.wait, self.longest)

    def seconds(self, run: Run, prepared: Turn) -> float:
        self.wait()
        start = time.perf_counter()
        for i in range(prepared.runs):
            run(i)
        self.wait()
        return (time.perf_counter() - start) / prepared.runs


class QueueClock:
    """The GPU's own time, between two marks in the queue of the default stream."""

    PLUG = 256 << 20  # bytes copied, to keep the GPU at work while runs are queued

    def __init__(self, cupy: Any) -> None:
        self.cuda = cupy.cuda
        self.wait = cupy.cuda.runtime.deviceSynchronize
        self.source, self.target = (cupy.empty(self.PLUG // 4, "float32") for _ in range(2))
        self.source[...] = 0
        self.plug(3)
        self.wait()
        self.plug_seconds = self.between(lambda: self.plug(10)) / 10

    def plug(self, count: int) -> None:
        for _ in range(count):
            self.target[...] = self.source

    def between(self, work: Callable[[], None]) -> float:
        start, end = self.cuda.Event(), self.cuda.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        return float(self.cuda.get_elapsed_time(start, end)) / 1e3

    def prepare(self, run: Run) -> Turn:
        return turn_of(run, self.wait)

    def seconds(self, run: Run, prepared: Turn) -> float:
        def work() -> None:
            for i in range(prepared.runs):
                run(i)

        self.wait()
        self.plug(math.ceil(1.5 * prepared.host / self.plug_seconds))
        return self.between(work) / prepared.runs


def sets_of(size: int, cache: int) -> int:
    """How many sets of inputs of so many bytes are needed, that none is still in the cache."""
    return max(2, math.ceil(CACHES * cache / size))


def agree(
    contenders: Sequence[Contender], expected: Mapping[str, np.ndarray], tolerance: float
) -> None:
    """Disagreement names who computes something else."""
    for c in contenders:
        wrong = disagreement(c.proof(), expected, tolerance) if c.proof else None
        if wrong:
            raise Disagreement(f"{c.name} disagrees with float64, so nothing was timed: {wrong}")


def contest(contenders: Sequence[Contender], clock: Clock, rounds: int = ROUNDS) -> Times:
    """Everyone's times, in turn."""
    prepared = [clock.prepare(c.run) for c in contenders]
    times: Times = {c.name: [] for c in contenders}
    for _ in range(rounds):
        for c, turn in zip(contenders, prepared, strict=True):
            times[c.name].append(clock.seconds(c.run, turn))
    return times


def ratio(times: Times, one: str, other: str) -> float:
    """How many times as long `one` takes: the median of the rounds' ratios."""
    return median([a / b for a, b in zip(times[one], times[other], strict=True)])


def fastest(times: Times, names: Sequence[str]) -> str:
    """Whose median is least."""
    return min(names, key=lambda name: median(times[name]))
