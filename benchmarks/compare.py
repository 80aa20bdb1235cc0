"""What moved between two runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .results import PROCESSOR, REFERENCE, Key, Results

MOVED = 0.05
SAME = ("processor", "instructions", "cores", "threads", "system")  # of one machine


class Move(NamedTuple):
    """A figure's new value over its old one; `relative` if both are in units of the reference."""

    key: Key
    ratio: float
    relative: bool

    @property
    def flagged(self) -> bool:
        return abs(self.ratio - 1) > MOVED


def same_machine(a: Results, b: Results) -> bool:
    return all(a.machine.get(name) == b.machine.get(name) for name in SAME)


def moves(old: Results, new: Results) -> Iterator[Move]:
    """Figures that both runs have. Of two machines only ratios to the reference are compared."""
    same = same_machine(old, new)
    for key, figure in new.figures.items():
        before = old.figures.get(key)
        if before is None:
            continue
        if same:
            yield Move(key, figure.median / before.median, False)
        elif key.contender not in (PROCESSOR, REFERENCE):
            was = old.ratio(key.job, key.case, key.contender, REFERENCE)
            now = new.ratio(key.job, key.case, key.contender, REFERENCE)
            if was is not None and now is not None:
                yield Move(key, now / was, True)
