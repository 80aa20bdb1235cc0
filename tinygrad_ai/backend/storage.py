"""When was a buffer last written in place? One clock orders tensors' nodes and writes.

A node takes a tick when it is made, a write takes a tick when it happens. A buffer that a node
saved is stale if it was written after the node was made. Views share their root's entry, and
nothing is spent on buffers that nobody writes to.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import CodeType
from typing import Any

PACKAGE = str(Path(__file__).parent.parent) + "/"

# Ticks count down, so that the newest is the smallest and a heap gives it first.
tick: Callable[[], int] = count(-1, -1).__next__


Place = tuple[CodeType, int]  # code and instruction: a line number only if somebody asks


outside: set[str] = set()  # source files seen so far that are not of this package
inside: set[str] = set()  # and those that are


def user_place() -> Place:
    """The innermost place outside this package."""
    frame = sys._getframe(1)
    code = frame.f_code
    while (file := code.co_filename) in inside or (file not in outside and is_ours(file)):
        if frame.f_back is None:
            break
        frame = frame.f_back
        code = frame.f_code
    return code, frame.f_lasti


def is_ours(file: str) -> bool:
    found = file.startswith(PACKAGE)
    (inside if found else outside).add(file)
    return found


def line_of(place: Place | None) -> str:
    """A place as file:line."""
    if place is None:
        return "an unknown line"
    code, instruction = place
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return f"{code.co_filename}:{line}"


class Write:
    """The last write to a buffer, and how many there were."""

    __slots__ = ("place", "ref", "tick", "writes")

    tick: int
    place: Place

    def __init__(self, owner: Any) -> None:
        key, self.writes = id(owner), 0
        # The entry goes with the buffer, so that an id is never taken for another's.
        self.ref = weakref.ref(owner, lambda _: written.pop(key, None))


written: dict[int, Write] = {}
latest = [0]  # the tick of the last write: nodes made after it need no look at `written`


def root(array: Any) -> Any:
    """The array that owns the memory of a view."""
    kind = type(array)
    while (base := array.base) is not None:
        if type(base) is not kind:
            base = getattr(base, "base", None)  # NumPy's windows put an object between
            if type(base) is not kind:
                break
        array = base
    return array


def wrote(*arrays: Any) -> None:
    """Notes that the buffers behind these arrays were just changed."""
    latest[0] = now = tick()
    place = user_place()
    for array in arrays:
        owner = root(array)
        last = written.get(id(owner))
        if last is None:
            last = written[id(owner)] = Write(owner)
        last.tick, last.place = now, place
        last.writes += 1


def last_write(array: Any) -> Write | None:
    return written.get(id(root(array)))


def is_shared(array: Any) -> bool:
    """Whether anything besides this view refers to the memory under it."""
    owner = root(array)
    return owner is not array and sys.getrefcount(owner) > 3  # the view, `owner`, the call
