"""One program for both libraries: a model's activations, gradients and updates, written down.

Our API is PyTorch's, so the same lines run either model: hooks, backward, optimizer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .parity_report import Key, Trace

WHOLE = "output"  # what the model as a whole is called among its layers
RANDOM = {"AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"}


class Reached(Exception):
    """The run has given what it was asked for."""


@dataclass
class Side:
    """A model of one library with all it is run with. `around` gives the context of a part of the
    run ("model", "loss"); `name` turns a name of its tree into ours."""

    model: Any
    inputs: list[Any]
    target: list[Any]
    loss: Any
    optimizer: Callable[[Any], Any] | None
    updates: int
    kind: Any  # the class of tensors
    made: Callable[[Any], Any]  # an array as a tensor
    name: Callable[[str], str] = str
    transposed: set[str] = field(default_factory=set)  # parameters kept the other way round
    unseen: set[str] = field(default_factory=set)  # layers whose output is not compared
    zeroed: bool = True  # whether gradients are forgotten before each update
    around: Callable[[str], AbstractContextManager[Any]] = lambda part: nullcontext()
    until: Key | None = None  # nothing after it is asked for

    def parameters(self) -> Iterator[tuple[str, Any]]:
        """The parameters under our names."""
        return iter([(self.name(n), p) for n, p in self.model.named_parameters()])

    def array(self, t: Any, name: str = "") -> Any:
        """A tensor's values, in memory of their own."""
        if t is None:
            return None
        found = t.detach().cpu().numpy()
        return np.array(found.T if name in self.transposed else found)


def run(side: Side) -> Trace:
    """Everything of a forward and a backward pass and of the updates after it, in the order in
    which a difference would show first."""
    trace: Trace = {}
    calls: list[tuple[str, Any]] = []
    side.model.zero_grad()
    for x in side.inputs:
        if x.is_floating_point():
            x.requires_grad_()
    handles = [
        m.register_forward_hook(_noting(side, side.name(name) or WHOLE, calls, trace))
        for name, m in side.model.named_modules()
        if side.name(name) not in side.unseen
    ]
    try:
        loss = loss_of(side)
    except Reached:
        return trace
    finally:
        for handle in handles:
            handle.remove()
    trace.update(_buffers(side, "buffer"))
    trace["loss", "loss"] = side.array(loss)
    last = side.until[0] if side.until else ""
    if loss.requires_grad and last not in ("buffer", "loss"):
        loss.backward()
        trace.update(_gradients(side, calls))
        if side.optimizer is not None and last != "gradient":
            _update(side, trace)
    return trace


def _noting(side: Side, name: str, calls: list[Any], trace: Trace) -> Any:
    """A hook that writes down what a module returned, and keeps its gradient."""

    def note(module: Any, args: Any, output: Any) -> None:
        found = floats(output, side.kind)
        for i, t in enumerate(found):
            own = f"{name}[{i}]" if len(found) > 1 else name
            times = sum([known.split("#")[0] == own for known, _ in calls])
            own = f"{own}#{times + 1}" if times else own
            trace["activation", own] = side.array(t)
            if t.requires_grad:
                t.retain_grad()
            calls.append((own, t))
            if side.until == ("activation", own):
                raise Reached

    return note


def floats(value: Any, kind: Any) -> list[Any]:
    """The floating-point tensors in nested tuples, lists and dictionaries."""
    if isinstance(value, kind):
        return [value] if value.is_floating_point() else []
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in floats(v, kind)] if isinstance(value, (tuple, list)) else []


def loss_of(side: Side) -> Any:
    with side.around("model"):
        output = side.model(*side.inputs)
    if side.loss is None:
        return _weighted(side, output)
    with side.around("loss"):
        loss = side.loss(output, *side.target)
    if not isinstance(loss, side.kind) or loss.numel() != 1:
        raise ArgumentError(f"the loss must be one number, got {getattr(loss, 'shape', loss)}")
    return loss


def _weighted(side: Side, output: Any) -> Any:
    """A number that all outputs count in, each differently: uneven weights, the same each time."""
    total: Any = None
    for i, t in enumerate(floats(output, side.kind)):
        weights = np.random.default_rng(i).uniform(0.5, 1.5, tuple(t.shape))
        part = (t * side.made(weights)).sum()
        total = part if total is None else total + part
    if total is None:
        raise ArgumentError("the model returns no floating-point tensor")
    return total


def _buffers(side: Side, stage: str) -> Trace:
    found = [(side.name(n), b) for n, b in side.model.named_buffers()]
    return {(stage, n): side.array(b) for n, b in found if b.is_floating_point()}


def _gradients(side: Side, calls: list[tuple[str, Any]]) -> Trace:
    """Against the order of the forward pass: each layer's output, then its own parameters."""
    found: Trace = {}
    parameters = dict(side.parameters())
    for name, t in reversed(calls):
        found["gradient", name] = side.array(t.grad) if t.requires_grad else None
        layer = name.split("#")[0].split("[")[0]
        for p in [p for p in parameters if p.rpartition(".")[0] == layer]:
            found["gradient", p] = side.array(parameters.pop(p).grad, p)
    for p, value in reversed(parameters.items()):
        found["gradient", p] = side.array(value.grad, p)
    for i, x in enumerate(side.inputs):
        if x.requires_grad:
            found["gradient", f"input {i}"] = side.array(x.grad)
    return found


def _update(side: Side, trace: Trace) -> None:
    """Steps of the optimizer, and the parameters and buffers after each."""
    assert side.optimizer is not None
    optimizer = side.optimizer(side.model)
    side.model.zero_grad()

    def closure() -> Any:
        if side.zeroed:
            optimizer.zero_grad()
        loss = loss_of(side)
        loss.backward()
        return loss

    for step in range(1, side.updates + 1):
        optimizer.step(closure)
        for name, p in side.parameters():
            trace[f"update {step}", name] = side.array(p, name)
        trace.update(_buffers(side, f"update {step}"))
        if side.until and side.until[0] == f"update {step}":
            return


def quieted(model: Any) -> list[str]:
    """Takes the random numbers out of a model (both libraries draw different ones) and in-place
    activations, which would overwrite what is looked at; says what it did."""
    names = []
    for name, m in model.named_modules():
        if getattr(m, "inplace", False) is True:
            m.inplace = False
        random = type(m).__name__ in RANDOM and m.p
        if (random or isinstance(getattr(m, "dropout", None), float) and m.dropout) and m.training:
            setattr(m, "p" if random else "dropout", 0.0)
            names.append(name or WHOLE)
    text = "is off, as both libraries draw random numbers of their own"
    return [f"dropout {text}: {', '.join(names)}"] if names else []
