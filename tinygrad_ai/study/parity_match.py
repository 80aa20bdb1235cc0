"""Which parameter of the reference belongs to which of ours, and the values of the one in the
other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..models.layers import Conv1D
from ..nn.linear import Linear
from .parity_run import Side


def named(names: dict[str, str] | None, pairs: list[tuple[str, str]]) -> Callable[[str], str]:
    """A function from the reference's dotted names to ours: `names` gives prefixes (ours: theirs),
    `pairs` whole parameters (ours, theirs), whose layers belong together too."""
    known = {theirs: mine for mine, theirs in (names or {}).items()}
    for mine, theirs in pairs:
        known.setdefault(theirs, mine)
        a, b = mine.rpartition(".")[0], theirs.rpartition(".")[0]
        if a and b:
            known.setdefault(b, a)

    taken = set(known.values())  # by another layer of the reference

    def name(theirs: str) -> str:
        parts = theirs.split(".")
        for n in range(len(parts), 0, -1):
            prefix = ".".join(parts[:n])
            if prefix in known:
                return ".".join([known[prefix], *parts[n:]])
        return f"{theirs} of the reference" if theirs in taken else theirs

    return name


def matched(mine: Side, theirs: Side, names: dict[str, str] | None) -> list[str]:
    """Gives the reference's side our names, by name or else by order; notes on what it did.

    ArgumentError if the parameters do not fit.
    """
    ours, others = _shapes(mine), _shapes(theirs)
    theirs.name = named(names, [])
    notes = []
    if {theirs.name(n) for n in others} != set(ours):
        pairs = list(zip(ours, others))
        if len(ours) != len(others) or not all([_fits(ours[a], others[b]) for a, b in pairs]):
            missing = [n for n in ours if n not in {theirs.name(o) for o in others}]
            extra = [n for n in others if theirs.name(n) not in ours]
            raise ArgumentError(
                f"the parameters do not belong together: only ours {missing[:4]}, "
                f"only the reference's {extra[:4]}", "names={'ours': 'theirs', ...}"
            )  # fmt: skip
        theirs.name = named(names, pairs)
        notes.append("parameters are matched by their order, as their names differ")
    for name, shape in others.items():
        own = ours[theirs.name(name)]
        if not _fits(own, shape):
            raise ArgumentError(f"{theirs.name(name)} is {own}, but {shape} in the reference")
        if own != shape:
            theirs.transposed.add(theirs.name(name))
            notes.append(f"{theirs.name(name)} is kept transposed in the reference")
    return notes


def fused(mine: Side, theirs: Side, plain: type) -> set[str]:
    """The linear layers that have their activation inside here, and are followed by it in the
    reference: what both have after it is compared."""
    known = {
        theirs.name(n) for n, m in theirs.model.named_modules()
        if type(m) is plain or type(m).__name__ == "Conv1D"  # of GPT-2 in transformers
    }  # fmt: skip
    return {
        name for name, m in mine.model.named_modules()
        if isinstance(m, (Linear, Conv1D)) and m.activation and name in known
    }  # fmt: skip


def _shapes(side: Side) -> dict[str, tuple[int, ...]]:
    return {n: tuple(p.shape) for n, p in side.model.named_parameters()}


def _fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a == b or (len(a) == 2 and a == b[::-1])


def values(side: Side) -> dict[str, Any]:
    """Parameters and buffers under our names."""
    found = {n: side.array(p, n) for n, p in side.parameters()}
    return {**found, **{side.name(n): side.array(b) for n, b in side.model.named_buffers()}}


def fill(side: Side, state: dict[str, Any]) -> None:
    """Puts values under our names into a model."""
    for name, t in [*side.model.named_parameters(), *side.model.named_buffers()]:
        own = side.name(name)
        if own in state:
            array = state[own].T if own in side.transposed else state[own]
            t.data.copy_(side.made(np.array(array)))
