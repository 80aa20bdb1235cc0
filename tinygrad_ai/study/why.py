"""Why is this gradient None, zero, NaN, infinite, exploding or vanishing? Ranked causes, with
numbers and the user's line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..autograd.graph import needed_for
from ..autograd.mode import recording, state
from ..backend import storage
from ..backend.dtypes import is_floating
from ..errors import ArgumentError, GraphFreedError
from ..nn.module import Module
from ..optim.optimizer import Optimizer
from ..tensor import Node, Tensor
from . import meaning, why_flow, why_values
from .causes import Cause
from .tape import Tape, check_context, checked, variables
from .watched import Backward, Recording, taken_apart

SUMMED = 3  # backward passes that were added to a gradient: fewer may be meant
FEW, MANY = 1e-3, 1e3  # from the last layer to this one: vanishing, exploding


@dataclass
class Why:
    """What is wrong with a gradient, and the causes that were found, most likely first."""

    name: str
    # none, zero, mostly zero, nan, infinite, exploding, vanishing, summed, not-optimized, healthy
    symptom: str
    norm: float | None
    causes: list[Cause] = field(default_factory=list)
    note: str = ""

    def __str__(self) -> str:
        size = "" if self.norm is None else f", norm {self.norm:.4g}"
        lines = [f"the gradient of {self.name}: {self.symptom}{size}"]
        lines += [f"  {i}. {cause}" for i, cause in enumerate(self.causes, 1)]
        return "\n".join([*lines, *([f"  {self.note}"] if self.note else [])])

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table("cause", "what was found", "where", "fix", title=str(self).splitlines()[0])
        for c in self.causes:
            table.add_row(Text(c.code), Text(c.text), Text(c.place), Text(c.fix))
        return table

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Case:
    """What is known of one tensor and one loss."""

    tensor: Tensor
    loss: Tensor | None
    tape: Tape | None
    record: Recording | None
    backward: Backward | None = None
    freed: bool = False
    path: set[Node] = field(default_factory=set)

    def gradient(self) -> Any:
        """The loss's gradient, or without a tape to walk what backward() left."""
        node, stored = self.tensor.node, kept(self.tensor)
        if self.backward is None or node is None:
            return stored
        if node in self.backward.leaves:
            return self.backward.leaves[node]
        return next((p.g for p in self.backward.pulls if p.node is node), None)


def why(
    tensor: Tensor,
    optimizer: Any = None,
    *,
    loss: Tensor | None = None,
    model: Any = None,
    record: Recording | None = None,
) -> Why:
    """Why the gradient of a tensor is as it is: print the result.

    Give it the loss, before loss.backward() or after backward(retain_graph=True); it walks the
    tape with copies and changes nothing. Within `with study.record():`, or given what that wrote
    down, it also finds where a path was cut, and takes the last number as the loss. With an
    optimizer, or a list, it asks whether that has the tensor. A gradient in which nothing was found
    is "healthy". ArgumentError for what is no tensor; without a recording, GradError for a loss
    without history.
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"expected a tensor, got {type(tensor).__name__}")
    optimizers = optimizer if isinstance(optimizer, (list, tuple)) else [optimizer]
    for one in optimizers if optimizer is not None else []:
        if not isinstance(one, Optimizer):
            raise ArgumentError(f"expected an optimizer, got {type(one).__name__}", "loss=loss")
    check_context(model, record)
    known = variables()
    at_work = [o for o in state.observers if isinstance(o, Recording)]
    record = record or (at_work[-1] if at_work else None)
    if loss is None:
        loss = last_number(record)
    elif record is None or not isinstance(loss, Tensor):
        loss = checked(loss)
    case = Case(tensor, loss, None, record)
    if loss is not None and loss.node is not None:
        case.tape = Tape(loss, model, record, known)
        walked(case)
    with np.errstate(all="ignore"), recording(False):
        found = judged(case, name_of(case, known, model))
        own = optimizer_causes(case, optimizers if optimizer is not None else [])
    if own and found.symptom == "healthy":
        found.symptom = own[0].code
    found.causes = sorted([*found.causes, *own], key=lambda c: -c.score)
    return found


def last_number(record: Recording | None) -> Tensor | None:
    """The last result of a recording that can be a loss, if possible one with a history."""
    outs = [t for call in reversed(record.calls if record else []) for t in call.outputs]
    numbers = [t for t in outs if t.array.size == 1 and is_floating(t.array.dtype)]
    return next((t for t in numbers if t.node is not None), numbers[0] if numbers else None)


def walked(case: Case) -> None:
    """Takes the loss's backward pass apart, if its tape is still there."""
    node, loss = case.tensor.node, case.loss
    try:
        case.backward = taken_apart(loss)  # type: ignore[arg-type]
    except GraphFreedError:
        case.freed = True
    if node is not None and case.tape is not None and node in case.tape.nodes:
        case.path = needed_for([loss], [node])  # type: ignore[list-item]


def kept(t: Tensor) -> Any:
    """The array of .grad, without its warning for tensors that keep none."""
    grad = t.node.grad if t.node is not None else t.grad
    return None if grad is None else grad.array


def name_of(case: Case, known: dict[str, Any], model: Any) -> str:
    tensor = case.tensor
    for one in [model] if model is not None else []:
        for name, p in one.named_parameters():
            if p is tensor:
                return name
    if case.tape is not None and tensor.node in case.tape.names:
        return case.tape.names[tensor.node]
    for name, value in known.items():
        if value is tensor:
            return name
        if isinstance(value, Module):
            inside = [n for n, p in value.named_parameters() if p is tensor]
            if inside:
                return f"{name}.{inside[0]}"
    return f"a tensor of shape {tuple(tensor.shape)}"


def judged(case: Case, name: str) -> Why:
    """The symptom, and the causes that go with it."""
    g = case.gradient()
    if g is None:
        return Why(name, "none", None, why_flow.causes_of_none(case))
    g = meaning.host(g[0] if type(g) is tuple else g).astype(np.float64)
    norm = float(np.sqrt(np.sum(g * g)))
    if not g.size:
        return Why(name, "zero", norm, [Cause("empty", "it has no elements", 1.0)])
    if not np.isfinite(g).all():
        symptom = "nan" if np.isnan(g).any() else "infinite"
        return finished(case, Why(name, symptom, norm, why_values.not_finite(case)))
    if not g.any():
        return finished(case, Why(name, "zero", norm, why_values.zero(case)))
    stored = kept(case.tensor)
    last = None if stored is None else storage.last_write(stored)
    if last is not None and last.sums >= SUMMED:
        return Why(name, "summed", norm, [not_zeroed(last.sums)])
    return by_size(case, name, norm, float(np.mean(g == 0)))


def finished(case: Case, found: Why) -> Why:
    """A verdict without causes says what would show them."""
    if not found.causes and case.freed:
        found.causes = [why_flow.freed_graph(case)]
    elif not found.causes and case.loss is None:
        found.note = "why(tensor, loss=loss) walks the tape and finds the cause"
    return found


def by_size(case: Case, name: str, norm: float, zeros: float) -> Why:
    """Exploding, vanishing, partly dead, or healthy."""
    chain = why_values.gain(case)
    first = chain.numbers["first"] if chain else 0.0  # the last layer's, before any gain
    dead = [c for c in why_values.activations(case) if c.code == "dead"] if zeros > 0.5 else []
    dead = [c for c in dead if c.numbers["share"] > 0.9]
    if chain is not None and chain.numbers["total"] > MANY and norm > first:
        chain.score, chain.code = 0.8, "exploding"
        return Why(name, "exploding", norm, [chain, *why_values.amplified(case)])
    if chain is not None and chain.numbers["total"] < FEW and norm < first:
        chain.code = "vanishing"
        full = [c for c in why_values.activations(case) if c.numbers["share"] > 0.5]
        return Why(name, "vanishing", norm, [*full, chain])
    if big := why_values.amplified(case):
        return Why(name, "exploding", norm, big)
    return Why(name, "mostly zero" if dead else "healthy", norm, dead)


def not_zeroed(steps: int) -> Cause:
    text = f"not zeroed for {steps} steps: each backward pass was added to what .grad had"
    fix = "optimizer.zero_grad() before each, unless several batches are to be summed"
    return Cause("not-zeroed", text, 0.9, {"steps": steps}, fix=fix)


def optimizer_causes(case: Case, optimizers: Any) -> list[Cause]:
    """Whether an optimizer would change the tensor at all."""
    given = [p for one in optimizers for group in one.param_groups for p in group["params"]]
    if not optimizers or any([p is case.tensor for p in given]):
        return []
    names = [type(one).__name__ for one in optimizers]
    kind = " and ".join(names) + (" have" if len(names) > 1 else " has")
    return [Cause(
        "not-optimized", f"never given to the optimizer: {kind} {len(given)} other tensors",
        0.3, {"others": len(given)}, fix="optimizer.add_param_group({'params': [tensor]})",
    )]  # fmt: skip
