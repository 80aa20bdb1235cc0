"""Trading time for memory: a stretch of the tape forgets what it saved and computes it again.

The stretch is recorded as always, then its nodes drop their arrays. When a backward pass reaches
one of them, the function runs again under the same random state, and each node asks its twin of
the second run for its gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from .. import backend
from ..backend import random, storage
from ..errors import GradError, InplaceError
from ..tensor import Node, Tensor
from .graph import history, tensors
from .mode import enable_grad, state
from .outputs import PICK
from .saved import freed


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = lambda: (nullcontext(), nullcontext()),
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs); what it saves for backward is computed again instead of kept.

    Parameters reached through closures get their gradients too, derivatives of any order work,
    and calls may be nested. `context_fn` gives a context for the first and for the second run;
    `preserve_rng_state` makes dropout draw the same. `use_reentrant`, `debug` and `early_stop` are
    PyTorch's; there is one implementation here and they change nothing.
    Raises GradError if the second run computes something else (`determinism_check="none"`
    omits the comparison), InplaceError if what it starts from was changed in between.
    """
    first, second = context_fn()
    start, kept = storage.tick(), random.states() if preserve_rng_state else None
    with first:
        result = function(*args, **kwargs)
    nodes = history(*tensors(result), after=start) if state.grad else []
    stretch = Stretch(function, args, kwargs, kept, second)
    stretch.end, stretch.compare = storage.tick(), determinism_check != "none"
    stretch.steps = [repr(node) for node in nodes]
    for number, node in enumerate(nodes):
        if node.op not in (None, PICK):
            node.op, node.saved, node.attrs = Again(node, stretch, number), (), {}
    return result


class Stretch:
    """A function that can be run again as it ran the first time."""

    end: int
    compare: bool
    steps: list[str]

    def __init__(self, function: Any, args: Any, kwargs: Any, kept: Any, context: Any) -> None:
        self.function, self.args, self.kwargs = function, args, kwargs
        self.kept, self.context = kept, context
        self.twins: dict[int, Node] = {}

    def twin(self, number: int) -> Node:
        """The node of the second run, for use once: memory is freed as the walk goes back."""
        if number not in self.twins:
            self.twins = dict(enumerate(self.run()))
        return self.twins.pop(number)

    def run(self) -> list[Node]:
        """Runs the function again; the nodes it makes, in the order of the first run."""
        start = storage.tick()
        self.check_unchanged(start, [t.array for t in tensors([self.args, self.kwargs])])
        with random.restored(self.kept), enable_grad(), self.context:
            result = self.function(*self.args, **self.kwargs)
        nodes = history(*tensors(result), after=start)
        self.check_unchanged(start, [a for node in nodes for a in arrays(node)])
        steps = [repr(node) for node in nodes]
        if len(steps) != len(self.steps) or (self.compare and steps != self.steps):
            raise GradError(
                "checkpoint: the function computed something else when it ran again\n"
                f"  in forward  {' '.join(self.steps[::-1])}\n"
                f"  in backward {' '.join(steps[::-1])}",
                "it must not depend on anything that changes between the two",
            )
        return nodes

    def check_unchanged(self, start: int, found: list[Any]) -> None:
        """Raises InplaceError if one of these arrays was written between the two runs."""
        for array in found:
            last = storage.last_write(array)
            if last is not None and start < last.tick < self.end:
                raise InplaceError(
                    f"checkpoint: a buffer of shape {array.shape} that the function starts from "
                    f"was changed before backward ran it again\n"
                    f"  changed at {storage.line_of(last.place)}",
                    "call backward first, or give the function a clone",
                )


def arrays(node: Node) -> list[Any]:
    """The arrays a node saved."""
    saved = [a for kept in node.saved or () for a in (kept if type(kept) is tuple else (kept,))]
    return [a for a in saved if type(a) in backend.TABLE]


class Again:
    """Stands on a node of a checkpointed stretch in the place of its op."""

    keeps_arrays = True
    plain = False  # the walk calls pull

    def __init__(self, node: Node, stretch: Stretch, number: int) -> None:
        self.name, self.stretch, self.number = node.name(), stretch, number

    def pull(self, node: Node, g: Any, graph: bool, needs: Any = None) -> Any:
        if node.saved is None:
            raise freed(node)
        twin = self.stretch.twin(self.number)
        return twin.op.pull(twin, g, graph, needs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Tensor, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Runs a Sequential or a list of functions in segments, all but the last checkpointed."""
    steps = list(functions)
    size = len(steps) // segments

    def run(part: list[Any]) -> Callable[[Any], Any]:
        def through(x: Any) -> Any:
            for step in part:
                x = step(x)
            return x

        return through

    for i in range(segments - 1):
        input = checkpoint(run(steps[i * size : (i + 1) * size]), input, **kwargs)
    return run(steps[(segments - 1) * size :])(input)
