"""watch: an observer at the door that follows a training loop, and reports its silent mistakes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from statistics import median
from typing import Any

import numpy as np

from ..autograd.anomaly import modules_at_work
from ..autograd.graph import history
from ..autograd.mode import state
from ..backend import storage
from ..errors import ArgumentError
from ..nn.dropout import _Dropout
from ..nn.module import Module
from ..nn.normalization import _RunningNorm
from ..tensor import Node, Tensor, wrap
from .findings import Finding, Report, here
from .lint_state import (
    Subject,
    dropped,
    listed,
    modes,
    paces,
    ratio,
    stale,
    strangers,
    unreached,
)  # fmt: skip
from .lint_tape import host, made_by, tape_findings
from .watched import leave

KEPT = 3  # old losses that may live on: the last one, the best one, ...


class watch:
    """`with watch(model, optimizer) as report:` around a training loop.

    The report fills while the loop runs and is complete after it. The optimizer's step() is
    wrapped inside the block. `optimizer` may be a list; `watch(loop)` takes what has a model and an
    optimizer, as a Trainer. Slow: every step is looked at. ArgumentError without an optimizer.
    """

    def __init__(self, model: Any, optimizer: Any = None) -> None:
        if optimizer is None and not isinstance(model, Module):
            model, optimizer = parts_of(model)
        self.subject = Subject(model, optimizer)
        if not self.subject.optimizers:
            raise ArgumentError("expected an optimizer to follow", "watch(model, optimizer)")
        self.report = Report(steps=0)
        self.last: int | None = None  # the node that the running walk visited last
        self.depth = 0  # rules at work
        self.root: weakref.ref[Node] | None = (
            None  # of the running walk, until it comes to a parameter
        )
        self.held: list[Finding] = []  # what was seen of its tape
        self.own: set[Node] = set()  # the parameters' nodes
        self.roots: list[weakref.ref[Node]] = []  # of the losses so far
        self.moved: dict[str, list[float]] = {}  # |update| / |w|, step by step
        self.empty: set[Tensor] = set()  # began at 0: every step of theirs is large at first
        self.reached: set[Tensor] = set()
        self.waiting: set[Node] = set()  # parameters without a new gradient since their step
        # Those whose new gradient may come on top of the old one: the line, and the old gradient.
        self.suspects: dict[Node, tuple[str, Any, int]] = {}
        self.arrived: set[Node] = set()  # parameters that some rule had a gradient for
        self.named: dict[Tensor, str] = {}

    # ---- around the loop

    def __enter__(self) -> Report:
        self.place, self.named = here(), self.subject.named()
        state.observers = (*state.observers, self)
        self.subject.wrap_steps(self.step)
        return self.report

    def __exit__(self, *_: object) -> None:
        leave(self)
        self.subject.unwrap_steps()
        self.add(strangers(self.subject, self.place))
        if self.report.steps:
            missing = [(p, n) for p, n in self.subject.expected() if p not in self.reached]
            self.add(unreached([n for p, n in missing if p.node not in self.arrived], self.place))
            self.add(dropped([n for p, n in missing if p.node in self.arrived], self.place))
            typical = {n: median([m for m in r if m] or [0.0]) for n, r in self.moved.items()}
            self.add(paces(typical, self.place))

    def add(self, findings: Iterable[Finding], step: bool = False) -> None:
        for finding in findings:
            finding.step = (self.report.steps or 0) + 1 if step else None
            self.report.add(finding)

    # ---- the optimizer's step

    def step(self, optimizer: Any, original: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        own = [p for group in optimizer.param_groups for p in group["params"]]
        self.add(self.unzeroed(own), step=True)
        graded = [p for p in own if p in self.named and p.ndim >= 2]
        before = {p: host(p.array).copy() for p in graded}
        try:
            return original(*args, **kw)
        finally:
            self.reached |= {p for p in self.named if p.grad is not None}
            for p, w in before.items():
                if not np.any(w):
                    self.empty.add(p)
                elif p not in self.empty:
                    self.moved.setdefault(self.named[p], []).append(ratio(w, host(p.array)))
            self.waiting |= {p.node for p in own if p.node is not None}
            if optimizer is self.subject.optimizers[0]:
                self.report.steps = (self.report.steps or 0) + 1

    # ---- at the door

    def forward(self, op: Any, run: Any, args: Any, attrs: Any) -> Any:
        if self.depth:
            return run(args, attrs)
        if state.grad:
            self.last = None  # whatever walk comes now is a new one
        else:
            self.measured(op, attrs)
        try:
            return run(args, attrs)
        except IndexError:
            self.mislabelled(op, args, attrs)
            raise

    def backward(self, pull: Any, node: Node, g: Any, graph: Any, needs: Any) -> Any:
        if self.depth == 0:
            if self.last is None or node.id <= self.last:
                self.root, self.held = weakref.ref(node), list(self.begins(node))
            self.last = node.id
            self.arriving([p for p, asked in zip(node.parents, needs) if p is not None and asked])
        self.depth += 1
        try:
            return pull(node, g, graph, needs)
        except RuntimeError:
            self.trains()
            raise
        finally:
            self.depth -= 1

    def begins(self, root: Node) -> Iterator[Finding]:
        """A walk begins: the tape is complete, and nothing of it freed."""
        self.named = self.subject.named()
        self.own = {p.node for p in self.named if p.node is not None}
        if not any([p in self.own for n in history(wrap(None, root)) for p in n.parents]):
            return  # somebody else's, as of a gradient check on the way
        first = not self.report.steps and self.subject.untrained()
        yield from tape_findings(root, first)
        yield from modes(self.subject, self.place)
        yield from stale(root, self.named)
        alive = [r for r in self.roots if r() is not None]
        if len(alive) > KEPT:
            text = f"the graphs of {len(alive)} earlier losses are still there"
            yield Finding("TG005", text, root.where(), {"alive": len(alive)})

    def trains(self) -> None:
        """The walk asks for a parameter's gradient: what was seen of its tape counts. A gradient of
        the inputs alone is no training."""
        self.add(self.held, step=True)
        if self.root is not None:
            self.roots = [*[r for r in self.roots if r() is not None], self.root]
        self.root, self.held = None, []

    def arriving(self, parents: list[Node]) -> None:
        """Does a parameter's first gradient since its optimizer's step find the old one?"""
        leaves = {p for p in parents if p.op is None}
        self.arrived |= leaves
        if self.root is not None and leaves & self.own:
            self.trains()
        for p in [p for p in parents if p in self.waiting or p in self.suspects]:
            self.waiting.discard(p)
            if p.grad is not None and host(p.grad.array).any():
                self.suspects.setdefault(p, (here(), p.grad.array, sums(p.grad)))
            else:
                self.suspects.pop(p, None)

    def unzeroed(self, own: list[Tensor]) -> Iterator[Finding]:
        """TG001: the step about to be taken has the gradient of the step before in it."""
        found = {p: self.suspects.pop(p.node) for p in own if p.node in self.suspects}
        places = {p: at for p, (at, *old) in found.items() if added_to(p.grad, *old)}
        if places:
            names = [self.named.get(p, "a parameter") for p in places]
            text = f"backward() adds to the gradient of the step before, in {listed(names)}"
            yield Finding("TG001", text, next(iter(places.values())), {"parameters": names})

    def measured(self, op: Any, attrs: dict[str, Any]) -> None:
        """TG006 under no_grad: dropout or batch norm that is in training mode."""
        at_work = modules_at_work()
        inner = at_work[0] if at_work else None
        noisy = op.name == "dropout" or (op.name == "attention" and attrs.get("keep") is not None)
        noisy = noisy or (isinstance(inner, _Dropout) and inner.training and inner.p > 0)
        moving = op.name == "var" and isinstance(inner, _RunningNorm) and inner.training
        if noisy or moving:
            what = inner.describe() if inner is not None else op.name
            text = f"{what} was in training mode under no_grad()"
            self.add([Finding("TG006", text, here(), {"op": op.name})], step=True)

    def mislabelled(self, op: Any, args: Any, attrs: dict[str, Any]) -> None:
        """TG007, where the engine refuses the labels."""
        labels, x = attrs.get("target"), args[0]
        if op.name == "getitem" and isinstance(x, Tensor) and made_by(x.node, "log_softmax"):
            index = attrs["index"]
            labels = index[-1] if isinstance(index, tuple) else index
        if labels is not None and hasattr(labels, "dtype"):
            found = host(labels)
            text = f"labels from {found.min()} to {found.max()}, and {x.shape[-1]} classes"
            numbers = {"least": int(found.min()), "most": int(found.max()), "classes": x.shape[-1]}
            place = storage.line_of(storage.user_place())
            self.add([Finding("TG007", text, place, numbers)], step=True)


def parts_of(loop: Any) -> tuple[Any, Any]:
    """The model and the optimizer of a training loop, such as a Trainer."""
    optimizer = getattr(loop, "optimizer", None)
    if optimizer is None and hasattr(loop, "create_optimizer"):
        optimizer = loop.create_optimizer()
    if optimizer is None:
        raise ArgumentError(
            f"expected a model and an optimizer, or a loop that has both, got {type(loop).__name__}"
        )
    return getattr(loop, "model", None), optimizer


def sums(grad: Tensor) -> int:
    """How many backward passes were added to a gradient."""
    last = storage.last_write(grad.array)
    return 0 if last is None else last.sums


def added_to(grad: Tensor | None, array: Any, before: int) -> bool:
    """Whether a backward pass was added to an old gradient: ta.grad() looks alike on its way."""
    if grad is None:
        return False
    return grad.node is not None or (grad.array is array and sums(grad) > before)
