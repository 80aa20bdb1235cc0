"""A step that is captured as a CUDA graph repeats its kernels with the arguments they had then.

Numbers of the host that change from step to step - learning rates, counts of steps, how far a
stream of random numbers has come - are therefore read from the GPU's memory while a step is
captured. A `Capture` remembers where each comes from, and brings all up to date for a replay.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import CaptureError

CHANGING = ("lr", "initial_lr")
AGAIN = "make a new graphed step"


class Active(threading.local):
    """The capture under way in this thread, if there is one: a loader's thread captures nothing."""

    capture: Capture | None = None


active = Active()


class Capture:
    """The numbers of one captured step, on the host and on the GPU."""

    def __init__(self, be: Any) -> None:
        self.be = be
        self.rates: list[Rate] = []
        self.counts: list[Counts] = []
        self.streams: dict[int, Stream] = {}
        self.optimizers: list[Options] = []
        self.sources: list[Any] = []  # arrays that were copied from past the door of the ops

    def note(self, optimizer: Any) -> None:
        """An optimizer whose step is captured: all it uses but these numbers must stay as it is."""
        if not optimizer.capturable:
            name = type(optimizer).__name__
            raise CaptureError(f"a step of {name} cannot be captured", "SGD, Adam, AdamW, RMSprop")
        self.optimizers.append(Options(optimizer))

    def rate(self, read: Callable[[], float]) -> Any:
        """A number as a 0-d float64 array on the GPU."""
        self.rates.append(Rate(read, self.be.empty((), "float64")))
        return self.rates[-1].array

    def count(self, steps: list[Any]) -> Any:
        """Counters of the host as an int64 array on the GPU, where each replay adds 1."""
        self.counts.append(Counts(steps, self.be.empty((len(steps),), "int64")))
        return self.counts[-1].array

    def stream(self, counter: Any) -> int:
        """Where on the GPU stands how far a stream of random numbers has come since the capture."""
        if id(counter) not in self.streams:
            self.streams[id(counter)] = Stream(counter, self.be.empty((2,), "uint64"))
        return self.be.address_of(self.streams[id(counter)].array)

    def refresh(self) -> None:
        """Before a replay: brings what has changed to the GPU; CaptureError for what cannot be."""
        for options in self.optimizers:
            options.check()
        for number in (*self.rates, *self.counts, *self.streams.values()):
            number.refresh()

    def passed(self) -> None:
        """After a replay: the host counts what the GPU has counted."""
        for number in (*self.counts, *self.streams.values()):
            number.passed()


class Options:
    """An optimizer's state and options as they were captured."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer, self.options = optimizer, self.now(optimizer)
        self.arrays = self.kept()

    def now(self, optimizer: Any) -> list[dict[str, Any]]:
        return [
            {
                k: [id(p) for p in v] if k == "params" else v
                for k, v in group.items()
                if k not in CHANGING
            }
            for group in optimizer.param_groups
        ]

    def kept(self) -> list[Any]:
        """The arrays of all states, which the graph reads and writes: they are held here."""
        states = self.optimizer.state.values()
        return [t.array for state in states for t in state.values() if hasattr(t, "array")]

    def check(self) -> None:
        now, before = self.kept(), self.arrays
        if len(now) != len(before) or any([a is not b for a, b in zip(now, before)]):
            raise CaptureError("the optimizer was given another state since", AGAIN)
        now = self.now(self.optimizer)
        if now != self.options:
            old = [(k, v) for group in self.options for k, v in group.items()]
            new = [(k, v) for group in now for k, v in group.items()]
            changed = next((k for (k, v), other in zip(new, old) if (k, v) != other), "params")
            raise CaptureError(f"the optimizer's {changed} changed since", AGAIN)


class Rate:
    def __init__(self, read: Callable[[], float], array: Any) -> None:
        self.read, self.array, self.known = read, array, None

    def refresh(self) -> None:
        value: Any = self.read()
        if value != self.known:
            self.array.fill(value)
            self.known = value


class Counts:
    """The counters are 0-d arrays. The graph adds 1 on the GPU before it reads."""

    def __init__(self, steps: list[Any], array: Any) -> None:
        self.steps, self.array = steps, array
        self.known: list[int] = []
        array += 1

    def refresh(self) -> None:
        counts = [int(s) for s in self.steps]
        if counts != self.known:
            for i, count in enumerate(counts):
                self.array[i] = count
            self.known = counts

    def passed(self) -> None:
        self.known = [n + 1 for n in self.known]
        for step, count in zip(self.steps, self.known, strict=True):
            step.fill(count)


class Stream:
    """The kernels add the array's two numbers to the offset and the key they were captured with."""

    def __init__(self, counter: Any, array: Any) -> None:
        self.counter, self.array = counter, array
        self.start, self.key, self.length = counter.at, counter.key, 0

    def close(self) -> None:
        """The capture ends: what it drew, each replay draws."""
        self.length, self.counter.at = (self.counter.at - self.start) % 2**64, self.start

    def refresh(self) -> None:
        self.array[0] = (self.counter.at - self.start) % 2**64
        self.array[1] = (self.counter.key - self.key) % 2**64

    def passed(self) -> None:
        self.counter.at = (self.counter.at + self.length) % 2**64


def may_wait() -> bool:
    """Whether values may be looked at: nobody waits for the GPU while a step is captured."""
    return active.capture is None


def reads(array: Any) -> None:
    """Notes an array that is copied from past the door of the ops: the graph will read it."""
    if active.capture:
        active.capture.sources.append(array)


def refuse_host() -> None:
    """CaptureError while a step is captured: a graph would repeat the numbers of that moment."""
    if active.capture:
        raise CaptureError("numbers of the host go to the GPU", "make the tensor before the step")


@contextmanager
def capturing(be: Any) -> Iterator[Capture]:
    """Inside the block numbers are taken from the GPU."""
    before, found = active.capture, Capture(be)
    active.capture = found
    try:
        yield found
    finally:
        active.capture = before
        for stream in found.streams.values():
            stream.close()
