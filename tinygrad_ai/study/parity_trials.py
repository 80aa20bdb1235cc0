"""A change of our side that is tried, and how ops are watched or changed in a part of a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from .parity_run import Side, loss_of
from .watched import observing, record


@dataclass
class Trial:
    """A change of ours that may make it agree, and what it means if it does."""

    name: str
    text: str
    change: Callable[[Side], None] = lambda side: None


def watching(part: str, watcher: Any) -> Callable[[str], AbstractContextManager[Any]]:
    """The `around` of a side that puts an observer at the door in one part of the run."""
    return lambda now: observing(watcher) if now == part else nullcontext()


def recorded(setup: Any, part: str) -> tuple[Side, list[Any]]:
    """Our side, and the calls of ops in a part of one run."""
    side = setup.ours()
    with record() as whole:
        marks: list[int] = []

        def around(now: str) -> AbstractContextManager[Any]:
            marks.append(len(whole.calls))
            return nullcontext()

        side.around = around
        loss_of(side)
    cut = marks[1] if len(marks) > 1 else len(whole.calls)
    return side, whole.calls[:cut] if part == "model" else whole.calls[cut:]
