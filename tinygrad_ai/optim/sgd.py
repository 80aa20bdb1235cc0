"""Stochastic gradient descent, and its averaged form."""

from __future__ import annotations

from typing import Any

from ..ops.create import tensor, zeros_like
from ..ops.step import advance, fresh_state, fused_all, rate
from ..tensor import Tensor
from .optimizer import Optimizer, check, counter


class SGD(Optimizer):
    """v ← μ v + (1 - τ) (g + λ p);  p ← p - α v   (Sutskever et al., 2013)

    In PyTorch's convention: v is g + λ p in the first step, and without momentum in every step.
    With Nesterov p loses α (g + λ p + μ v).
    """

    capturable = True

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0, dampening: float = 0,
        weight_decay: float = 0, nesterov: bool = False, *, maximize: bool = False,
        foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        check(
            lr=(lr, lr >= 0), momentum=(momentum, momentum >= 0),
            weight_decay=(weight_decay, weight_decay >= 0),
            nesterov=(nesterov, not nesterov or (momentum > 0 and dampening == 0)),
        )  # fmt: skip
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": None}

    def update_all(self, params: Any, grads: Any, states: Any, group: dict[str, Any]) -> None:
        first = [state.get("momentum_buffer") is None for state in states]
        for p, state, begins in zip(params, states, first, strict=True):
            if begins and group["momentum"]:
                fresh_state()
                state["momentum_buffer"] = zeros_like(p.detach())
        fused_all(
            "sgd_step", params, grads,
            [state["momentum_buffer"] if group["momentum"] else None for state in states],
            first=first, lr=rate(group), momentum=group["momentum"], dampening=group["dampening"],
            weight_decay=group["weight_decay"], nesterov=group["nesterov"],
        )  # fmt: skip


class ASGD(Optimizer):
    """p ← (1 - λη) p - η g;  a ← a + μ (p - a);  η ← α / (1 + λ α t)^κ;  μ ← 1 / max(1, t - t0)

    Averaged SGD (Polyak & Juditsky, 1992): a is the average. λ is `lambd`, κ is `alpha`; η begins
    with α, μ with 1.
    """

    def __init__(
        self, params: Any, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75,
        t0: float = 1e6, weight_decay: float = 0, foreach: bool | None = None,
        maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check(lr=(lr, lr >= 0), weight_decay=(weight_decay, weight_decay >= 0))
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def init(self, p: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        eta, mu = tensor(float(group["lr"])), tensor(1.0)
        return {"step": counter(), "eta": eta, "mu": mu, "ax": zeros_like(p.detach())}

    def update(self, p: Tensor, g: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        step = advance(state["step"])
        eta, mu = state["eta"].item(), state["mu"].item()
        if group["weight_decay"]:
            g = g + group["weight_decay"] * p
        p.mul_(1 - group["lambd"] * eta).add_(g, alpha=-eta)
        if mu == 1:
            state["ax"].copy_(p)
        else:
            state["ax"].add_((p - state["ax"]) * mu)
        decay = (1 + group["lambd"] * group["lr"] * step) ** group["alpha"]
        state["eta"] = tensor(group["lr"] / decay)
        state["mu"] = tensor(1 / max(1, step - group["t0"]))
