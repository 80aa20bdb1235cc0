"""The optimizers' arithmetic: updates of parameters in place, through the backend's table."""

from __future__ import annotations

from itertools import compress
from typing import Any

from .. import backend
from ..backend.capture import active
from ..errors import CaptureError
from ..tensor import Tensor


def advance(steps: Tensor) -> int:
    """Counts one more step in the tensor that keeps their number; returns it."""
    count = int(steps.array) + 1
    steps.array.fill(count)
    return count


def advance_all(steps: list[Tensor]) -> Any:
    """The same for several: a list of integers. While a step is captured it is an array in which
    the GPU counts."""
    if active.capture:
        return active.capture.count([s.array for s in steps])
    return [advance(s) for s in steps]


def rate(group: dict[str, Any]) -> Any:
    """A group's learning rate; while a step is captured, the array where the GPU reads it."""
    if active.capture:
        return active.capture.rate(lambda: float(group["lr"]))
    return group["lr"]


def begin(optimizer: Any) -> None:
    """Every optimizer's step begins here: a captured one must be one that can be repeated."""
    if active.capture:
        active.capture.note(optimizer)


def fresh_state() -> None:
    """Called where an optimizer makes its state: in a captured step each replay would make it."""
    if active.capture:
        raise CaptureError(
            "the optimizer makes the state of a parameter that had no gradient in the steps before",
            "warmup=3, or a first step with every parameter in use",
        )


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
