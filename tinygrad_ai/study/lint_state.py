"""Silent mistakes that can be seen in a model, its optimizers and what their next step would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..autograd.graph import history
from ..autograd.mode import recording
from ..backend import storage
from ..errors import ArgumentError
from ..nn.dropout import _Dropout
from ..nn.module import Module
from ..nn.normalization import _RunningNorm
from ..optim.optimizer import Optimizer
from ..tensor import Node, Tensor, wrap
from .findings import Finding
from .lint_tape import host
from .watched import only

RATIO = 1e-3  # |update| / |w| in a training that goes well
FAR = 300  # how many times more or less is a mistake
SHOWN = 4  # names in a message


def several(optimizer: Any) -> list[Any]:
    """An optimizer, a list of them, or None, as a list."""
    if optimizer is None:
        return []
    return list(optimizer) if isinstance(optimizer, (list, tuple)) else [optimizer]


class Subject:
    """What is looked at: a model or None, and optimizers; ArgumentError for anything else."""

    def __init__(self, model: Any, optimizer: Any) -> None:
        found = several(optimizer)
        if model is not None and not isinstance(model, Module):
            raise ArgumentError(f"expected a model, an nn.Module, got {type(model).__name__}")
        for one in found:
            if not isinstance(one, Optimizer):
                raise ArgumentError(f"expected an optimizer, got {type(one).__name__}")
        self.model: Module | None = model
        self.optimizers: list[Any] = found
        self.steps: list[Any] = []  # what the optimizers' step() was, where somebody had wrapped it

    def wrap_steps(self, step: Callable[..., Any]) -> None:
        """From now on an optimizer's step() is `step(optimizer, what it was, ...)`."""
        self.steps = [vars(o).get("step") for o in self.optimizers]
        for optimizer in self.optimizers:
            vars(optimizer)["step"] = partial(step, optimizer, optimizer.step)

    def unwrap_steps(self) -> None:
        for optimizer, before in zip(self.optimizers, self.steps):
            del vars(optimizer)["step"]
            if before is not None:
                vars(optimizer)["step"] = before

    def own(self) -> list[Tensor]:
        """The optimizers' parameters."""
        return [p for o in self.optimizers for group in o.param_groups for p in group["params"]]

    def named(self) -> dict[Tensor, str]:
        """All parameters that are trained, the model's and the optimizers', with their names."""
        found = {p: name for name, p in self.model.named_parameters()} if self.model else {}
        others = [p for p in self.own() if p not in found]
        names: dict[Any, str] = {**found, **{p: f"parameter {i}" for i, p in enumerate(others)}}
        return {p: name for p, name in names.items() if p.requires_grad}

    def expected(self) -> list[tuple[Tensor, str]]:
        """The parameters that a loss should reach: the model's, or without one the optimizers'."""
        known = None if self.model is None else set(self.model.parameters())
        return [(p, n) for p, n in self.named().items() if known is None or p in known]

    def untrained(self) -> bool:
        """Whether there are optimizers and none has taken a step."""
        return bool(self.optimizers) and not any([o.state for o in self.optimizers])


def listed(names: Iterable[str]) -> str:
    """A few names, and how many more there are."""
    found = list(names)
    rest = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(found[:SHOWN]) + rest


def strangers(subject: Subject, place: str) -> Iterator[Finding]:
    """TG003: parameters on one side only."""
    if subject.model is None or not subject.optimizers:
        return
    own, named = set(subject.own()), dict(subject.model.named_parameters())
    missing = [name for name, p in named.items() if p.requires_grad and p not in own]
    foreign = len(own - set(named.values()))
    if missing:
        text = f"the optimizer does not have {listed(missing)}"
        yield Finding("TG003", text, place, {"missing": missing, "foreign": foreign})
    elif foreign:
        text = f"{foreign} of the optimizer's {len(own)} parameters are not the model's"
        yield Finding("TG003", text, place, {"missing": [], "foreign": foreign})


def unreached(names: list[str], place: str) -> Iterator[Finding]:
    """TG004: parameters that no backward pass came to."""
    if names:
        text = f"the loss does not reach {listed(names)}"
        yield Finding("TG004", text, place, {"parameters": names})


def dropped(names: list[str], place: str) -> Iterator[Finding]:
    """TG004: parameters that a backward pass came to, and that had no gradient in any step."""
    if names:
        text = f"the gradient of {listed(names)} was gone before optimizer.step(), in every step"
        yield Finding("TG004", text, place, {"parameters": names})


def modes(subject: Subject, place: str) -> Iterator[Finding]:
    """TG006 in training: dropout or batch norm that is in evaluation mode, and not frozen."""
    modules = dict(subject.model.named_modules()) if subject.model else {}
    asleep = []
    for name, module in modules.items():
        acts = isinstance(module, _RunningNorm) and module.track_running_stats
        acts = acts or (isinstance(module, _Dropout) and module.p > 0)
        above = modules[name.rpartition(".")[0]] if name else module
        if acts and not module.training and not (frozen(module) or frozen(above)):
            asleep.append(f"{name} ({module.describe()})" if name else module.describe())
    if asleep:
        text = f"a loss is trained on while {listed(asleep)} is in evaluation mode"
        yield Finding("TG006", text, place, {"modules": asleep})


def frozen(module: Module) -> bool:
    """Whether it has parameters, and none is trained."""
    parameters = list(module.parameters())
    return bool(parameters) and not any([p.requires_grad for p in parameters])


def stale(root: Node, named: dict[Tensor, str]) -> Iterator[Finding]:
    """TG005 and TG014: a loss that depends on what was computed from a parameter before its last
    change. If new results depend on it too, a state was carried on; else it was computed once."""
    reads: dict[Any, Tensor] = {p.node: p for p in named}  # and views of them, which change too
    old: dict[Tensor, Node] = {}
    new = set()
    for node in reversed(history(wrap(None, root))):
        for parent in node.parents:
            p = reads.get(parent)
            if p is None:
                continue
            last = storage.last_write(p.array)
            if getattr(node.op, "view", False):
                reads[node] = p
            elif last is not None and last.tick < node.id:  # ticks count down
                old.setdefault(p, node)
            else:
                new.add(p)
    if not old:
        return
    node, again = next(iter(old.values())), [named[p] for p in old if p in new]
    if again:
        text = f"the loss still depends on {node.name()} of an earlier step, through {again[0]}"
        yield Finding("TG005", text, node.where(), {"parameters": again})
    else:
        names = [named[p] for p in old]
        text = f"{node.name()} used {listed(names)} before the last change of it"
        yield Finding("TG014", text, node.where(), {"parameters": names})


def leftover(leaves: dict[Node, Any], named: dict[Tensor, str], place: str) -> Iterator[Finding]:
    """TG001 at one moment: gradients that are there, and not (a multiple of) this loss's own."""
    names = []
    for p, name in named.items():
        g = leaves.get(p.node)  # type: ignore[arg-type]
        if p.grad is None or g is None:
            continue
        a, b = host(p.grad.array).ravel().astype(float), host(g).ravel().astype(float)
        sizes = math.sqrt(float(a @ a) * float(b @ b))
        if a.any() and (not sizes or float(a @ b) / sizes < 0.999):
            names.append(name)
    if names:
        text = f".grad of {listed(names)} holds something else than this loss's gradient"
        yield Finding("TG001", text, place, {"parameters": names})


def update_ratios(subject: Subject, leaves: dict[Node, Any]) -> dict[str, float]:
    """|update| / |w| of the next step for every matrix, taken with copies."""
    found, named = {}, subject.named()
    for optimizer in subject.optimizers:
        for group in optimizer.param_groups:
            for p in [p for p in group["params"] if p in named and p.ndim >= 2]:
                g = leaves.get(p.node)
                after = None if g is None else _after(optimizer, group, p, g)
                if after is not None:
                    found[named[p]] = ratio(host(p.array), host(after.array))
    return found


def _after(optimizer: Any, group: dict[str, Any], p: Any, g: Any) -> Any:
    with recording(False), only():
        w, g = p.detach().clone(), wrap(g).to(p.dtype)
        known = optimizer.state.get(p)
        state = {k: v.clone() if isinstance(v, Tensor) else v for k, v in (known or {}).items()}
        try:
            given = -g if group.get("maximize") else g.clone()
            optimizer.update_all([w], [given], [state or optimizer.init(w, group)], group)
        except NotImplementedError:  # LBFGS has no step of one parameter alone
            return None
        return w


def ratio(before: np.ndarray, after: np.ndarray) -> float:
    """|after - before| / |before|, 0 where there is no ratio."""
    size = float(np.linalg.norm(before.astype(np.float64)))
    return float(np.linalg.norm(after.astype(np.float64) - before)) / size if size else 0.0


def paces(ratios: dict[str, float], place: str) -> Iterator[Finding]:
    """TG010: the parameter whose steps are farthest from a thousandth, if that is too far."""
    moved = {name: r for name, r in ratios.items() if r and math.isfinite(r)}
    if not moved:
        return
    name = max(moved, key=lambda n: abs(math.log(moved[n] / RATIO)))
    times = moved[name] / RATIO
    if not 1 / FAR <= times <= FAR:
        off = f"{times:.3g} times too large" if times > 1 else f"{1 / times:.3g} times too small"
        text = f"a step of {name} is {moved[name]:.2e} of it: {off}"
        yield Finding("TG010", text, place, {"ratios": ratios})
