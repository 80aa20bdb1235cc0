"""What is written on the boxes: the same in every format."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .stats import Stats

if TYPE_CHECKING:
    from .collect import Item
    from .graph import Frame, Structure


def title(structure: Structure, i: int) -> str:
    """The item's name; a parameter's without that of the module that is drawn around it."""
    item = structure.items[i]
    return item.name.removeprefix(f"{structure.inside[i]}.") if item.kind == "leaf" else item.name


def shape(item: Item) -> str:
    return " ".join(str(item.shape).split())


def norms(value: Stats | None, grad: Stats | None) -> str:
    """‖y‖ and ‖g‖, as far as they are known; a single number instead of its norm."""
    parts = []
    for letter, s in (("y", value), ("g", grad)):
        if s is not None:
            one = s.size == 1 and s.mean is not None
            parts.append(f"{letter} {digits(s.mean)}" if one else f"‖{letter}‖ {digits(s.norm)}")
    return " · ".join(parts)


def digits(number: float | None) -> str:
    """Three digits; powers of ten only where they are shorter."""
    if number is None or math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    return f"{number:.3g}".replace("e-0", "e-").replace("e+0", "e")


def module(structure: Structure, number: int) -> tuple[str, str]:
    """A module's title and what it is: its name and class."""
    level = structure.levels[number]
    return level.label, structure.classes.get(level.name, "")


def output(structure: Structure, number: int) -> int:
    """The item of a module that the rest uses: the last one."""
    return max(structure.levels[number].members)


def gradient(structure: Structure, frame: Frame, number: int) -> Stats | None:
    """The gradient that stands for a closed module: of all its parameters together, else of what
    it gives to the rest. Only the norm and what is wrong are added up."""
    level = structure.levels[number]
    leaves = [i for i in level.members if structure.items[i].kind == "leaf"]
    found = [g for i in leaves if (g := frame.grads[i]) is not None]
    if not found:
        return frame.grads[output(structure, number)]
    norm = math.sqrt(sum([g.norm**2 for g in found]))
    size, nan, inf, minus = (
        sum([getattr(g, k) for g in found]) for k in ("size", "nan", "inf", "minus_inf")
    )
    return Stats(size, norm, nan, inf, minus, 0.0, None, None, None, None, [])
