"""One clock whose time all goes somewhere: each moment belongs to a piece of work, or to the
profiler itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .. import backend, cuda
from ..backend.capture import may_wait
from .counts import arrays
from .events import Event


@dataclass
class Frame:
    """A piece of work that has begun. `whole`: what happens inside it is a part of it."""

    name: str
    kind: str
    path: str = ""
    place: str = ""
    whole: bool = True
    flops: int = 0
    bytes: int = 0
    pieces: list[list[float]] = field(default_factory=list)  # start and seconds of each

    def add(self, work: tuple[int, int]) -> None:
        self.flops += work[0]
        self.bytes += work[1]

    def events(self, began: float) -> list[Event]:
        """The first piece has the call and its cost, the others go on with it."""
        made = []
        for i, (start, seconds) in enumerate(self.pieces):
            if i and not seconds:
                continue
            cost = (self.flops, self.bytes, 1) if i == 0 else (0, 0, 0)
            made.append(
                Event(self.name, self.kind, start - began, seconds, self.path, self.place, *cost)
            )
        return made


class Clock:
    """Runs for the frame on top, or for the overhead; never for both or for none."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.events: list[Event] = []
        self.overhead = 0.0
        self.running = False  # for the frame on top
        self.devices: set[str] = set()  # GPUs that were given work
        self.began = self.last = time.perf_counter()

    @property
    def top(self) -> Frame:
        return self.frames[-1]

    def push(self, frame: Frame) -> None:
        """Work that begins, inside of other work."""
        self.frames.append(frame)
        frame.pieces.append([0.0, 0.0])

    def pop(self) -> None:
        self.events += self.frames.pop().events(self.began)
        if self.frames:  # what was interrupted goes on, in a piece of its own
            self.top.pieces.append([0.0, 0.0])

    def go(self) -> None:
        """From the overhead to the frame on top."""
        now = time.perf_counter()
        self.overhead += now - self.last
        piece = self.top.pieces[-1]
        piece[0] = piece[0] or now
        self.last, self.running = now, True

    def pause(self) -> None:
        """From the frame on top to the overhead, once the GPU has done what it was given."""
        if self.devices and may_wait():
            for device in self.devices:
                cuda.synchronize(device)
        now = time.perf_counter()
        self.top.pieces[-1][1] += now - self.last
        self.last, self.running = now, False

    def run(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Runs what belongs to the frame on top."""
        self.go()
        try:
            return work(*args, **options)
        finally:
            self.pause()

    def aside(self, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Runs the profiler's own work."""
        was = self.running
        if was:
            self.pause()
        try:
            return work(*args, **options)
        finally:
            if was:
                self.go()

    def within(self, frame: Frame, work: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Runs a piece of work of its own."""
        self.push(frame)
        try:
            return self.run(work, *args, **options)
        finally:
            self.pop()

    def end(self) -> tuple[float, float]:
        """The seconds since the beginning, and how many of them were overhead."""
        now = time.perf_counter()
        return now - self.began, self.overhead + now - self.last

    def notice(self, value: Any) -> None:
        """Remembers where to wait, if there are arrays on a GPU."""
        if backend.cuda.loaded:
            found = [a for a in arrays(value) if backend.device_of(a).type != "cpu"]
            self.devices |= {str(backend.device_of(a)) for a in found}
