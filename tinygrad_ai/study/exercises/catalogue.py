"""All exercises, from add to attention."""

from __future__ import annotations

from difflib import get_close_matches

from ...errors import ArgumentError
from .elementary import ELEMENTARY
from .exercise import Exercise
from .networks import NETWORKS

EXERCISES: dict[str, Exercise] = {e.name: e for e in [*ELEMENTARY, *NETWORKS]}


def known(name: str) -> Exercise:
    """The exercise of that name; ArgumentError with the nearest ones if there is none."""
    if name not in EXERCISES:
        near = get_close_matches(name, EXERCISES, 2)
        fix = f"did you mean {' or '.join(near)}?" if near else "exercise without a name lists them"
        raise ArgumentError(f"there is no exercise {name!r}", fix)
    return EXERCISES[name]
