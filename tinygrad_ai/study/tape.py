"""What is known of a tape: the calls behind its nodes where they were written down, names for its
leaves, and the arrays in them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from .. import backend
from ..autograd.anomaly import modules_at_work
from ..autograd.graph import history, tensors
from ..autograd.mode import state
from ..backend import storage
from ..errors import ArgumentError, GradError
from ..nn.module import Module
from ..ops.random import get_rng_state, set_rng_state
from ..tensor import Node, Tensor
from .watched import Call, Recording, dotted, names, observing


def called(function: Callable[..., Any], inputs: Any) -> tuple[Tensor, Recording, dict[str, Any]]:
    """A function's result, its calls, and its inputs by the names of its parameters."""
    try:
        known = dict(inspect.signature(function).bind(*inputs).arguments)
    except (TypeError, ValueError):
        known = {}
    before = get_rng_state()
    try:
        with observing(Everything()) as r:
            loss = function(*inputs)
    finally:
        set_rng_state(before)  # the next call drops out the same
        r.restore()
    several = {k: v for k, v in known.items() if isinstance(v, tuple)}
    known |= {f"{k}{i}": t for k, v in several.items() for i, t in enumerate(v)}
    return checked(loss), r, {k: v for k, v in known.items() if isinstance(v, Tensor)}


class Everything(Recording):
    """Also writes down the calls inside of rules: a gradient may be a part of a loss. Keeps the
    buffers of the modules at work as they were, such as the running mean of a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.buffers: dict[int, list[tuple[Module, str, Tensor, Any]]] = {}

    def restore(self) -> None:
        for kept in self.buffers.values():
            for module, name, buffer, array in kept:
                module._buffers[name] = buffer
                if not backend.of(array).xp.array_equal(buffer.array, array):
                    buffer.array[...] = array

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        modules = modules_at_work()
        for m in modules:
            if id(m) not in self.buffers:
                known = [(name, b) for name, b in m._buffers.items() if b is not None]
                self.buffers[id(m)] = [(m, name, b, b.array.copy()) for name, b in known]
        result = run(args, attrs)
        place = storage.user_place()
        self.calls.append(Call(op, args, attrs, result, place, modules, 0.0))
        return result

    def backward(self, pull: Any, node: Any, g: Any, *rest: Any) -> Any:
        return pull(node, g, *rest)


def checked(loss: Any) -> Tensor:
    """The loss, or an error that says what is wrong with it."""
    if not isinstance(loss, Tensor):
        raise ArgumentError(f"expected a tensor that was computed, got {type(loss).__name__}")
    if loss.node is None or loss.node.op is None:
        raise GradError(
            "expected a loss that was computed from what needs a gradient; this has no history",
            "requires_grad=True on the inputs, and no detach() or no_grad() on the way",
        )
    return loss


class Tape:
    """A loss's nodes, oldest first, with what is known of each."""

    def __init__(
        self, loss: Tensor, model: Any, recording: Recording | None, known: dict[str, Any]
    ) -> None:
        at_work = [o for o in state.observers if isinstance(o, Recording)]
        recording = recording or (at_work[-1] if at_work else None)
        self.loss = loss
        self.nodes = history(loss)[::-1]
        self.recording = recording
        self.calls: dict[Node, Call] = recording.made() if recording else {}
        self.known = {k: v for k, v in known.items() if isinstance(v, Tensor)}
        self.roots = {"": model} if model is not None else self.found_roots(known)
        self.names = self.named()
        self.arrays = self.found_arrays()

    def found_roots(self, known: dict[str, Any]) -> dict[str, Any]:
        """Models by name: the caller's variables that cover the leaves, largest first, then the
        outermost modules that were at work. A single one needs no name."""
        leaves = {n for n in self.nodes if n.op is None}
        named = [(k, m) for k, m in known.items() if isinstance(m, Module)]
        at_work = [(f"model{i}", m) for i, m in enumerate(roots(self.recording), 1)]
        found: dict[str, Any] = {}
        for name, module in [*sorted(named, key=lambda pair: -size(pair[1])), *at_work]:
            own = {p.node for p in module.parameters()} & leaves
            if own:
                found[name] = module
                leaves -= own
        return dict(zip([""], found.values())) if len(found) == 1 else found

    def named(self) -> dict[Node, str]:
        """Names of the leaves: of models' parameters, of variables, or x1, x2, ..."""
        found: dict[Node, str] = {}
        for prefix, root in self.roots.items():
            for name, p in root.named_parameters():
                if p.node is not None:
                    found.setdefault(p.node, f"{prefix}.{name}" if prefix else name)
        for name, t in self.known.items():
            if t.is_leaf and t.node is not None:
                found.setdefault(t.node, name)
        for node, name in names(self.loss).items():
            while node not in found and name in found.values():
                name += "_"
            found.setdefault(node, name)
        return found

    def found_arrays(self) -> dict[Node, Any]:
        """The numbers in the leaves, where anybody still has them."""
        found = {}
        for node in self.nodes:
            keep = getattr(node.op, "keep", ())
            for name, value in zip(keep, node.saved or ()):
                if name in getattr(node.op, "inputs", ()) and name != "xs":
                    i = node.op.inputs.index(name)
                    if i < len(node.parents) and node.parents[i] is not None:
                        found[node.parents[i]] = value
        calls = self.recording.calls if self.recording else []
        given = [t for call in calls for t in tensors(list(call.args))]
        own = [p for root in self.roots.values() for p in root.parameters()]
        for t in [*given, *own, *self.known.values()]:
            if t.node is not None and t.is_leaf:
                found[t.node] = t.array
        return found

    def variable(self, array: Any) -> str | None:
        """The name of a tensor without a gradient that holds this array."""
        return next((name for name, t in self.known.items() if t.array is array), None)

    def path(self, node: Node) -> str:
        """Where in its model an op was called."""
        call = self.calls.get(node)
        if call is None:
            return ""
        for prefix, root in self.roots.items():
            if found := dotted(root, call.modules):
                return f"{prefix}.{found}" if prefix else found
        return ""


def size(module: Any) -> int:
    return len(list(module.parameters()))


def roots(recording: Recording | None) -> list[Any]:
    """The outermost modules that were at work."""
    found: list[Any] = []
    for call in recording.calls if recording else []:
        if call.modules and not any([m is call.modules[-1] for m in found]):
            found.append(call.modules[-1])
    return found
