"""The walk: from an output's gradient back to the leaves, newest node first.

Iterative, ordered by creation number: when a node is taken from the heap, everything computed
from it is done. Gradients in flight live in the walk's own dictionary, never on interior nodes, so
a second pass over a retained graph gives the same answer. The walk undoes broadcasting, once, for
every op. It knows how gradients flow, and no single op but the two that undo broadcasting.
"""

from __future__ import annotations

from functools import partial
from heapq import heappop, heappush
from threading import RLock
from typing import Any

from .. import backend
from ..backend.storage import latest
from ..errors import GradError
from ..hooks import RETAIN
from ..tensor import Node, Tensor, wrap
from .broadcast import fit
from .mode import state
from .outputs import Part
from .promote import cast

GATHERING = RLock()  # threads may share leaves


class Walk:
    """One backward pass. `graph`: the rules are fed Tensors, so that they are recorded too."""

    def __init__(self, graph: bool, keep: bool, needed: set[Node] | None) -> None:
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
            if node.op is not None:
                heappush(self.heap, node.id)

    def run(self, wanted: dict[Node, Any] | None) -> None:
        """Visits every pending node; fills `wanted`, or without it the leaves' gradients."""
        pending, heap, graph = self.pending, self.heap, self.graph
        selective, observers, free = wanted is not None, state.observers, not self.keep
        held = None  # the next node where the tape is a chain: it need not pass through the heap
        while held or heap:
            node, g = held or pending.pop(heappop(heap))
            held, op = None, node.op
            if node.hooks or selective:
                g = self.arrive(node, g, wanted)
            if selective or observers:
                needs = self.needs(node)
                if not any(needs):
                    continue
                grads = observed(op.pull)(node, g, graph, needs)
            elif op.plain and not graph and latest[0] > node.id and node.saved is not None:
                grads = op.rule(g, *node.saved, **node.attrs)  # what pull does, if all is well
            else:
                grads = op.pull(node, g, graph)
            if type(grads) is not tuple:
                grads = (grads,)
            for parent, gx in zip(node.parents, grads):
                if parent is None or gx is None:
                    continue
                simple, leaf = gx.shape == parent.shape and not selective, parent.op is None
                if held and not leaf:
                    self.start(*held)
                    held = None
                elif simple and not leaf and not heap:
                    held = parent, gx
                    continue
                if not simple or parent.id in pending:
                    self.deliver(node, parent, gx, is_fresh(gx, g, grads, node))
                    continue
                self.start(parent, gx)
                if leaf and is_fresh(gx, g, grads, node):
                    self.own.add(parent.id)
            if free and op.keeps_arrays:
                node.saved = None
        for node, g in list(pending.values()):  # the leaves
            self.arrive(node, g, wanted)

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
        if key not in self.pending and parent.op is not None:
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
        """Adds g to what a node keeps, which belongs to that node alone."""
        dtype = g.dtype if node.op else node.attrs["dtype"]
        with GATHERING:
            old = node.grad
            if self.graph:
                node.grad = cast(g, dtype=dtype) if old is None else old + g
            elif old is None:
                own = node.id in self.own and type(g) in backend.TABLE and g.dtype == dtype
                node.grad = wrap(g if own else backend.common((g,)).array(g, dtype, order="C"))
            elif old.node is not None:
                node.grad = wrap(old.array + g)
            else:
                old.array += g
                backend.storage.added(old.array)

    def call_hooks(self, node: Node, g: Any) -> Any:
        self.own.discard(node.id)  # a hook may keep what it is given
        hooks = list((node.hooks or {}).values())
        for hook in hooks:
            result = hook(self.as_tensor(g)) if hook is not RETAIN else None
            if result is not None:
                check_result(result, node)
                g = result if self.graph else result.array
        if RETAIN in hooks:
            self.gather(node, g)
        return g

    def as_tensor(self, g: Any) -> Tensor:
        return g if isinstance(g, Tensor) else wrap(backend.common((g,)).as_array(g))


def observed(pull: Any) -> Any:
    """A rule with this thread's observers around it."""
    for observer in state.observers:
        pull = partial(observer.backward, pull)
    return pull


def check_result(result: Any, node: Node) -> None:
    """Raises GradError unless a hook gave a gradient for its tensor."""
    came = result.shape if isinstance(result, Tensor) else type(result).__name__
    if came != node.shape:
        raise GradError(f"a hook must return a gradient of shape {node.shape} or None, got {came}")


def is_fresh(gx: Any, g: Any, grads: tuple[Any, ...], node: Node) -> bool:
    """Whether a rule made gx itself, for this one parent: only then may the leaf keep it."""
    if type(gx) not in backend.TABLE or gx.base is not None:
        return False
    others = [*(g if type(g) is tuple else (g,)), *grads, *(node.saved or ()), *node.attrs.values()]
    return list(map(id, others)).count(id(gx)) == 1
