"""Ctrl-C that waits for the running step, so that what is saved is a whole number of steps."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class Interrupted(Exception):
    """Raised between two steps after Ctrl-C."""


class Interrupt:
    """Context manager: the first SIGINT sets a flag that `check` turns into Interrupted.

    A second one is an ordinary KeyboardInterrupt.
    """

    def __enter__(self) -> Interrupt:
        self.asked = False
        self.before: Any = signal.signal(signal.SIGINT, self.note)
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        if self.asked:
            raise Interrupted

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self.before)
