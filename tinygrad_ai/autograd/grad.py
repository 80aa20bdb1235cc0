"""The walk: from an output's gradient back to the leaves, newest node first.

Iterative, ordered by creation number: when a node is taken from the heap, everything computed
from it is done. Gradients in flight live in the walk's own dictionary, never on interior nodes, so
a second pass over a retained graph gives the same answer. The walk undoes broadcasting, once, for
every op. It knows how gradients flow, and no single op but the two that undo broadcasting.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from heapq import heappop, heappush
from typing import Any

from .. import backend
from ..errors import ShapeError
from ..tensor import RETAIN, Node, Tensor, wrap
from .broadcast import sum_to
from .mode import state
from .op import Part


class Walk:
    """One backward pass. `graph`: the rules are fed Tensors, so that they are recorded too."""

    def __init__(self, graph: bool, keep: bool, needed: set[Node | None] | None) -> None:
        self.graph, self.keep, self.needed = graph, keep, needed
        self.pending: dict[int, tuple[Node, Any]] = {}
        self.heap: list[int] = []
        self.own: set[int] = set()  # nodes whose pending gradient is nobody else's array

    def start(self, node: Node, g: Any) -> None:
        """The gradient of one output, where the walk begins."""
        if node.id in self.pending:
            self.add(node, g)
        else:
            self.pending[node.id] = (node, g)
            heappush(self.heap, node.id)

    def run(self, wanted: dict[Node, Any] | None) -> None:
        """Visits every pending node; fills `wanted`, or without it the leaves' gradients."""
        pending, heap, graph = self.pending, self.heap, self.graph
        selective, observers, free = wanted is not None, state.observers, not self.keep
        while heap:
            node, g = pending.pop(heappop(heap))
            op = node.op
            if op is None or node.hooks or selective:
                g = self.arrive(node, g, wanted)
                if op is None:
                    continue
            if selective or observers:
                grads = observed(op.pull)(node, g, graph, self.needs(node))
            else:
                grads = op.pull(node, g, graph)
            if type(grads) is not tuple:
                grads = (grads,)
            for parent, gx in zip(node.parents, grads):
                if parent is None or gx is None:
                    continue
                key = parent.id
                if key in pending or gx.shape != parent.shape or selective or parent.op is None:
                    self.deliver(node, parent, gx, is_fresh(gx, g, grads, node))
                else:
                    pending[key] = parent, gx
                    heappush(heap, key)
            if free and op.keeps_arrays:
                node.saved = None

    def needs(self, node: Node) -> tuple[bool, ...]:
        """Which inputs' gradients a rule has to compute."""
        needed = self.needed
        return tuple([p is not None and (needed is None or p in needed) for p in node.parents])

    def deliver(self, node: Node, parent: Node, gx: Any, fresh: bool) -> None:
        """What a rule gave to a parent, in full: selection, broadcasting undone, sums, parts."""
        if self.needed is not None and parent not in self.needed:
            return
        key, waiting = parent.id, self.pending.get(parent.id)
        if type(gx) is Part:
            gx = gx.join(waiting[1] if waiting else (None,) * len(parent.shape))
            waiting = None
        elif gx.shape != parent.shape:
            gx, fresh = fit(gx, parent, node), True
        if waiting:
            self.add(parent, gx)
            return
        if key not in self.pending:
            heappush(self.heap, key)
        self.pending[key] = parent, gx
        if fresh:
            self.own.add(key)

    def add(self, node: Node, g: Any) -> None:
        """Adds to a pending gradient: out of place first, in place once the sum is our own."""
        key = node.id
        before = self.pending[key][1]
        if key in self.own and not self.graph and type(before) in backend.TABLE:
            before += g
        else:
            self.pending[key] = (node, before + g)
            self.own.add(key)

    def arrive(self, node: Node, g: Any, wanted: dict[Node, Any] | None) -> Any:
        """A node's gradient is complete: hooks, then whoever keeps it."""
        if node.hooks:
            g = self.call_hooks(node, g)
        if wanted is not None:
            if node in wanted:
                wanted[node] = g
        elif node.op is None:
            self.gather(node, g)
        return g

    def gather(self, node: Node, g: Any) -> None:
        """Adds g to a leaf's gradient, which belongs to the leaf alone."""
        dtype, old = node.attrs["dtype"], node.grad
        if self.graph:
            node.grad = g if old is None else old + g
        elif old is None:
            be = backend.common((g,))
            own = node.id in self.own and type(g) in backend.TABLE and g.dtype == dtype
            node.grad = wrap(g if own else be.array(g, dtype=dtype))
        elif old.node is not None:
            node.grad = wrap(old.array + g)
        else:
            old.array += g
            backend.storage.wrote(old.array)

    def call_hooks(self, node: Node, g: Any) -> Any:
        for hook in list((node.hooks or {}).values()):
            result = hook(self.as_tensor(g))
            if hook is RETAIN:
                node.grad = result
            elif result is not None:
                g = result if self.graph else result.array
                self.own.discard(node.id)
        return g

    def as_tensor(self, g: Any) -> Tensor:
        return g if isinstance(g, Tensor) else wrap(backend.common((g,)).as_array(g))


def observed(pull: Any) -> Any:
    """A rule with this thread's observers around it."""
    for observer in state.observers:
        pull = partial(observer.backward, pull)
    return pull


def fit(gx: Any, parent: Node, node: Node) -> Any:
    """A gradient summed over the axes along which its input was broadcast."""
    try:
        return sum_to(gx, shape=parent.shape)
    except ShapeError:
        raise ShapeError(
            f"the rule of {node.op.name} gave a gradient of shape {gx.shape} "
            f"for an input of shape {parent.shape}",
        ) from None


def is_fresh(gx: Any, g: Any, grads: tuple[Any, ...], node: Node) -> bool:
    """Whether a rule made gx itself, for this one parent: only then may the leaf keep it."""
    return (
        type(gx) in backend.TABLE
        and gx.base is None
        and gx is not g
        and sum([other is gx for other in grads]) <= 1
        and not any([kept is gx for kept in node.saved or ()])
    )


def needed_for(roots: Iterable[Node], wanted: Iterable[Node]) -> set[Node]:
    """The nodes on some path from a root to a wanted node: the rest is not computed."""
    seen, stack = set(), list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += [p for p in node.parents if p is not None]
    needed = set(wanted)
    for node in sorted(seen, key=lambda n: -n.id):  # oldest first
        if any([p in needed for p in node.parents]):
            needed.add(node)
    return needed
