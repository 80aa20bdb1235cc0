"""What an optimizer's step costs, where one kernel does it: FLOPs by its formula, and bytes. The
steps of the other optimizers are made of ops, which are counted as they pass the door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..optim.adam import Adam
from ..optim.optimizer import Optimizer
from ..optim.rmsprop import RMSprop
from ..optim.sgd import SGD

Work = tuple[int, int]


def sgd(group: dict[str, Any], state: dict[str, Any]) -> int:
    """p - lr g;  g + λ p;  v = μ v + (1 - τ) g, but g at first;  g + μ v"""
    again = state.get("momentum_buffer") is not None
    moment = group["momentum"] and 3 * again + 2 * group["nesterov"]
    return int(2 + 2 * bool(group["weight_decay"]) + moment)


def adam(group: dict[str, Any], state: dict[str, Any]) -> int:
    """m + (1-β₁)(g - m): 3;  β₂ v + (1-β₂) g²: 4;  p - c m / (√v / d + ε): 6"""
    decay = (1 if group["decoupled_weight_decay"] else 2) if group["weight_decay"] else 0
    return 13 + decay + bool(group["amsgrad"])


def rmsprop(group: dict[str, Any], state: dict[str, Any]) -> int:
    """α s + (1-α) g²: 4;  g / (√s + ε): 3;  p - lr b: 2;  its mean, s - mean²: 5;  μ b + step: 2"""
    more = 2 * bool(group["momentum"]) + 2 * bool(group["weight_decay"])
    return 9 + 5 * bool(group["centered"]) + more


FUSED: dict[type[Optimizer], Callable[..., int]] = {Adam: adam, SGD: sgd, RMSprop: rmsprop}


def counted(optimizer: Any) -> Callable[[], Work]:
    """Looked at before its step; what is returned gives FLOPs and bytes after it."""
    update = type(optimizer).update_all  # a subclass with another one is made of ops, or unknown
    formula = next((f for kind, f in FUSED.items() if update is kind.update_all), None)
    if formula is None:
        return lambda: (0, 0)
    stepped = [
        (p, p.grad.nbytes, formula(group, optimizer.state.get(p) or {}))
        for group in optimizer.param_groups
        for p in group["params"]
        if p.grad is not None
    ]
    return lambda: work(optimizer, stepped)


def work(optimizer: Any, stepped: list[tuple[Any, int, int]]) -> Work:
    """p and what is kept in its shape are read and written, g is read."""
    flops = touched = 0
    for p, g, each in stepped:
        kept = [a for a in optimizer.state.get(p, {}).values() if getattr(a, "shape", 0) == p.shape]
        moving = [a for a in kept if a.ndim or not p.ndim]
        flops += each * p.array.size
        touched += g + 2 * (p.nbytes + sum([a.nbytes for a in moving]))
    return flops, touched
