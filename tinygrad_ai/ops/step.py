"""The optimizers' arithmetic: updates of parameters in place, through the backend's table."""

from __future__ import annotations

from itertools import compress
from typing import Any

from .. import backend
from ..tensor import Tensor


def advance(steps: Tensor) -> int:
    """Counts one more step in the tensor that keeps their number; returns it."""
    count = int(steps.array) + 1
    steps.array.fill(count)
    return count


def fused_all(name: str, params: list[Tensor], *lists: Any, **numbers: Any) -> None:
    """Runs the kernel `name` on the arrays of a group's parameters and of what belongs to each, and
    notes that they were written. One call for all that are on the CPU, one for those on GPUs."""
    arrays = [[None if t is None else t.array for t in tensors] for tensors in (params, *lists)]
    for kind in dict.fromkeys(map(type, arrays[0])):
        chosen = [type(a) is kind for a in arrays[0]]
        mine = [list(compress(one, chosen)) for one in arrays]
        given = {
            k: list(compress(v, chosen)) if isinstance(v, list) else v for k, v in numbers.items()
        }
        getattr(backend.of(mine[0][0]), name)(*mine, **given)
    backend.storage.wrote(*arrays[0])
