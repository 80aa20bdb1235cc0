"""Several GPUs: operations run on the GPU of their tensors, whichever is current.

CuPy computes on the current GPU. With one GPU that is always the right one, and nothing here is in
use. When a second one is first named, `watch` puts a guard at the door of all ops, which makes the
tensors' GPU the current one, and refuses tensors of two.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from .. import backend
from ..tensor import Tensor
from .grad import Walk
from .mode import State, state


def gpu_arrays(values: Any) -> list[Any]:
    """The arrays on GPUs among arguments, gradients and what tuples hold of them."""
    found = []
    for value in values:
        if type(value) is tuple:
            found += gpu_arrays(value)
        array = value.array if isinstance(value, Tensor) else value
        if type(array) is not backend.numpy.ndarray and type(array) in backend.TABLE:
            found.append(array)
    return found


def placed(work: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs on the GPU of the first array among its arguments."""

    @wraps(work)
    def call(*args: Any, **kwargs: Any) -> Any:
        arrays = gpu_arrays(args)
        if not arrays:
            return work(*args, **kwargs)
        with backend.of(arrays[0]).xp.cuda.Device(arrays[0].device.id):
            return work(*args, **kwargs)

    return call


class Guard:
    """The observer at the door."""

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        arrays = gpu_arrays((*args, *attrs.values()))
        if len({a.device.id for a in arrays}) > 1 and op.name != "transfer":
            raise backend.apart(arrays)
        if not arrays:
            return run(args, attrs)
        with backend.of(arrays[0]).xp.cuda.Device(arrays[0].device.id):
            return run(args, attrs)

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        arrays = gpu_arrays(g if type(g) is tuple else (g,))
        if not arrays:
            return pull(node, g, *rest)
        with backend.of(arrays[0]).xp.cuda.Device(arrays[0].device.id):
            return pull(node, g, *rest)


GUARD = Guard()
PLAIN = {name: getattr(Walk, name) for name in ("add", "gather", "deliver")}


def watch() -> None:
    """Sets the guard up, for threads that come later too."""
    State.mode, State._observers = 2, (GUARD,)
    state.observers = (*state.observers, GUARD)
    for name, work in PLAIN.items():
        setattr(Walk, name, placed(work))


def unwatch() -> None:
    """Takes the guard away."""
    State.mode, State._observers = 1, ()
    state.observers = tuple([o for o in state.observers if o is not GUARD])
    for name, work in PLAIN.items():
        setattr(Walk, name, work)


backend.cuda.on_several.append(watch)
backend.cuda.on_unload.append(unwatch)
