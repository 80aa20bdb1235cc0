"""What the other tools of this room stand on: op calls written down as they pass the door, a
backward pass taken apart without touching anything, and names for what is on the tape.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..autograd.anomaly import modules_at_work
from ..autograd.backward import _seed
from ..autograd.grad import Walk
from ..autograd.graph import history, tensors
from ..autograd.mode import recording, state
from ..autograd.outputs import PICK
from ..backend import storage
from ..errors import GradError, InplaceError
from ..hooks import RETAIN
from ..tensor import Node, Tensor


@dataclass
class Call:
    """An op at work: what it was given, what it made, where, and how long it took (seconds)."""

    op: Any
    args: tuple[Any, ...]
    attrs: dict[str, Any]
    result: Any
    place: storage.Place
    modules: list[Any]  # whose forward was running, innermost first
    seconds: float

    @property
    def outputs(self) -> list[Tensor]:
        return list(tensors(self.result))


@dataclass
class Recording:
    """All calls of a `with record() as r:` block, in order."""

    calls: list[Call] = field(default_factory=list)
    depth: int = 0

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        """The observer at the door. Ops inside rules are not calls of the user's."""
        if self.depth:
            return run(args, attrs)
        self.depth += 1
        start = time.perf_counter()
        try:
            result = run(args, attrs)
        finally:
            self.depth -= 1
        seconds = time.perf_counter() - start
        place, modules = storage.user_place(), modules_at_work()
        self.calls.append(Call(op, args, attrs, result, place, modules, seconds))
        return result

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        self.depth += 1
        try:
            return pull(node, g, *rest)
        finally:
            self.depth -= 1

    def made(self) -> dict[Node, Call]:
        """The call behind each node of the tape."""
        return {producer(t): call for call in self.calls for t in call.outputs if t.node}


@contextmanager
def observing(observer: Any) -> Iterator[Any]:
    """Puts an observer at the door inside the block."""
    state.observers = (*state.observers, observer)
    try:
        yield observer
    finally:
        leave(observer)


def leave(observer: Any) -> None:
    """Takes an observer from the door, whoever came after it."""
    state.observers = tuple([o for o in state.observers if o is not observer])


@contextmanager
def only(*observers: Any) -> Iterator[None]:
    """These observers and no others inside the block: what a tool computes for itself is nobody's
    training step, and no call of the user's."""
    before = state.observers
    state.observers = observers
    try:
        yield
    finally:
        state.observers = before


@contextmanager
def record() -> Iterator[Recording]:
    """Writes down every op that is called inside the block."""
    with observing(Recording()) as found:
        yield found


def producer(t: Tensor) -> Node:
    """The node of the op that made a tensor, past the one that picks one of several outputs."""
    node = t.node
    if node is None:
        raise GradError("expected a tensor that requires a gradient", "x.requires_grad_()")
    parent = node.parents[0] if node.op is PICK else None
    return parent or node


@dataclass
class Pull:
    """A rule at work: the gradient that came in, those it gave to the parents (None: not asked)."""

    node: Node
    g: Any
    grads: tuple[Any, ...]
    seconds: float


@dataclass
class Backward:
    """A backward pass taken apart: its rules in order, and what arrived at each leaf."""

    pulls: list[Pull]
    leaves: dict[Node, Any]


class _Quiet(Walk):
    """A walk that leaves every .grad alone, also that of nodes which retain theirs."""

    def __init__(self) -> None:
        super().__init__(graph=False, keep=True, needed=None)
        self.pulls: list[Pull] = []
        self.leaves: dict[Node, Any] = {}

    def gather(self, node: Node, g: Any) -> None:
        if node.op is None:
            self.leaves[node] = g

    def add(self, node: Node, g: Any) -> None:
        self.own.discard(node.id)  # what a rule gave stays as it was, in its pull
        super().add(node, g)

    def call_hooks(self, node: Node, g: Any) -> Any:
        hooks = node.hooks or {}
        node.hooks = {k: h for k, h in hooks.items() if h is not RETAIN}
        try:
            return super().call_hooks(node, g)
        finally:
            node.hooks = hooks

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        return run(args, attrs)

    def backward(self, pull: Any, node: Node, g: Any, *rest: Any) -> Any:
        start = time.perf_counter()
        grads = pull(node, g, *rest)
        seconds = time.perf_counter() - start
        parts = grads if type(grads) is tuple else (grads,)
        self.pulls.append(Pull(node, g, parts, seconds))
        return grads


def taken_apart(loss: Tensor, gradient: Tensor | None = None) -> Backward:
    """The backward pass of a loss, without changing any .grad, the tape or what it keeps.

    Hooks of the user's run, as they are a part of it. GradError as for loss.backward(); a tape
    that a backward pass has freed is a GraphFreedError.
    """
    walk = _Quiet()
    with recording(False), only(walk):
        seed = _seed(loss, gradient, False)
        walk.start(loss.node, seed)  # type: ignore[arg-type]
        try:
            walk.run(None)
        except InplaceError as error:
            fix = f"look before optimizer.step() changes the parameters; else {error.fix}"
            raise InplaceError(error.message, fix) from None
    return Backward(walk.pulls, walk.leaves)


def names(loss: Tensor, model: Any = None, depth: int = 1) -> dict[Node, str]:
    """Names for the leaves behind a loss: a model's parameters', the caller's variables', or x1,
    x2, ... in the order they were made. `depth` says how many frames up the caller is."""
    found: dict[Node, str] = {}
    if model is not None:
        found = {p.node: n for n, p in model.named_parameters() if p.node is not None}
    for name, value in sys._getframe(depth).f_locals.items():
        if isinstance(value, Tensor) and value.is_leaf and value.node is not None:
            found.setdefault(value.node, name)
    unknown = [n for n in reversed(history(loss)) if n.op is None and n not in found]
    return {**found, **{n: f"x{i}" for i, n in enumerate(unknown, 1)}}


def dotted(root: Any, modules: list[Any]) -> str:
    """Where in a model an op was called, as encoder.layer.0.fc; empty outside of it."""
    known = {m: name for name, m in root.named_modules()} if root is not None else {}
    return next((known[m] for m in modules if m in known), "")
