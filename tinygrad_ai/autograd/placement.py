"""Several GPUs: operations run on the GPU of their tensors, whichever is current.

CuPy computes on the current GPU. With one GPU that is always the right one, and nothing here is in
use. When a second one is first named, `watch` puts a guard at the door of all ops, which makes the
tensors' GPU the current one, and refuses tensors of two.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar, cast

from .. import backend
from ..backend.cuda import several
from ..tensor import Tensor
from .grad import Walk
from .mode import State, state

F = TypeVar("F", bound=Callable[..., Any])


def gpu_arrays(values: Any) -> list[Any]:
    """The arrays on GPUs among arguments, gradients and what tuples hold of them."""
    found = []
    for value in values:
        if type(value) in (tuple, list):
            found += gpu_arrays(value)
        array = value.array if isinstance(value, Tensor) else value
        if type(array) is not backend.numpy.ndarray and type(array) in backend.TABLE:
            found.append(array)
    return found


def at(values: Any) -> Any:
    """A context in which the GPU of the first array is the current one."""
    arrays = gpu_arrays(values)
    if not arrays:
        return nullcontext()
    return backend.of(arrays[0]).xp.cuda.Device(arrays[0].device.id)


def placed(work: F) -> F:
    """For functions that compute with arrays before they come to an op: with several GPUs they run
    on that of their arguments."""

    @wraps(work)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not several:
            return work(*args, **kwargs)
        with at((*args, *kwargs.values())):
            return work(*args, **kwargs)

    return cast(F, call)


class Guard:
    """The observer at the door."""

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        arrays = gpu_arrays((*args, *attrs.values()))
        if len({a.device.id for a in arrays}) > 1 and op.name != "transfer":
            raise backend.apart(arrays)
        with at(arrays):
            return run(args, attrs)

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        with at((g,)):
            return pull(node, g, *rest)


GUARD = Guard()
PLAIN: list[Any] = [(Walk, name, getattr(Walk, name)) for name in ("add", "gather", "deliver")]
STARTS = import_module(f"{__package__}.backward")  # the package has a function of that name
PLAIN += [(STARTS, name, getattr(STARTS, name)) for name in ("_seed", "_answer")]


def watch() -> None:
    """Sets the guard up, for threads that come later too."""
    State.mode, State._observers, State.always = 2, (GUARD,), (GUARD,)
    state.observers = state.observers
    for owner, name, work in PLAIN:
        setattr(owner, name, placed(work))


def unwatch() -> None:
    """Takes the guard away."""
    State.mode, State._observers, State.always = 1, (), ()
    state.observers = tuple([o for o in state.observers if o is not GUARD])
    for owner, name, work in PLAIN:
        setattr(owner, name, work)


backend.cuda.on_several.append(watch)
backend.cuda.on_unload.append(unwatch)
